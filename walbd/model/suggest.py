"""What somebody may have meant who typed a word that does not exist."""

from __future__ import annotations

from collections.abc import Iterable


def suggestion(word: str, known: Iterable[str], otherwise: str) -> str:
    """`did you mean A or B?`, or another hint when nothing is similar."""
    from difflib import get_close_matches

    near = get_close_matches(word.lower()[:80], list(known), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else otherwise
