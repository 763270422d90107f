"""The closed hierarchy of errors.

Each error says what happened, to which volume, file or peer, and (hint) what to do next. Programs print one line and
exit with 1; nobody but a developer ever sees a traceback.
"""

from __future__ import annotations


def one_line(text: str) -> str:
    """The text with control characters (line breaks above all) escaped, so that one record stays one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class WalbError(Exception):
    """Root of the hierarchy; raise one of the classes below."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.message} (hint: {self.hint})" if self.hint else self.message
        return one_line(text)


class InvalidArgument(WalbError):
    """An option, parameter, name or size from a user or a peer is not acceptable."""


class Corrupted(WalbError):
    """A file, frame or log does not verify."""


class BadState(WalbError):
    """Not possible now: the state of the volume, a running action or a stop in progress forbids it."""


class NotFound(WalbError):
    """A volume, snapshot, file or archive that was named does not exist."""


class AlreadyExists(WalbError):
    """Something of that name is there already."""


class PeerUnreachable(WalbError):
    """A peer could not be connected to, closed the connection, or did not answer in time."""


class ProtocolViolation(WalbError):
    """A peer speaks another protocol or breaks the rules of ours."""


class Refused(WalbError):
    """A peer answered with a reason instead of doing what was asked. `message` is its reason."""


class StorageFailure(WalbError):
    """A file, device or image operation failed in the operating system."""


class Cancelled(WalbError):
    """Work was ended early by a forced stop or a shutdown; it was rolled back."""


def connecting_hint(error: OSError) -> str:
    """What to look at when connecting has failed so. What a resolver says has no errno of the system."""
    if error.errno and error.errno > 0:
        return "is the server running there?"
    return "is the name right, and does this host know it?"
