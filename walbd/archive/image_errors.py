"""What a failure of an image store has to tell."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from walbd.image.store import ImageStore
from walbd.model.error import StorageFailure


@contextlib.contextmanager
def naming(store: ImageStore, what: str) -> Iterator[None]:
    """A StorageFailure raised within begins with `what` (work, volume, gid) and says what to do when the store is full.
    Blocks."""
    try:
        yield
    except StorageFailure as error:
        raise StorageFailure(f"{what}:{error.message}", store.space_hint() or error.hint) from error
