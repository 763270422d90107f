"""What a user can put right."""

from __future__ import annotations


class Failure(Exception):
    """Installing is not possible as asked; the text says why and what to do."""
