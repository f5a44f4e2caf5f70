"""The one family of errors: each is one sentence that names the cause and the cure."""

from collections.abc import Mapping
from typing import Any


class GradpipeError(Exception):
    """Anything gradpipe refuses; the command line prints it, no traceback, and exits with 2.

    ``transient`` says that the same may work a minute later: a network that did not answer.
    """

    def __init__(self, message: str = "", *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


class StudyError(GradpipeError):
    """A study file, or a setting given in its place, that cannot be used as written."""


class DataError(GradpipeError):
    """A benchmark or data file that is missing, altered, empty or of the wrong shape."""


class ModelError(GradpipeError):
    """A model that cannot be found, loaded or taken apart into its projections."""


class WorkspaceError(GradpipeError):
    """A workspace that cannot be read or written."""


class DamagedError(WorkspaceError):
    """Files of a workspace that are not as they were written.

    ``damage`` says of each what is wrong with it, as the end of a sentence about it.
    """

    CURE = (
        ": run `gradpipe run`, which makes it again, or `gradpipe doctor --repair`, which looks "
        "for everything of the kind."
    )

    def __init__(self, damage: Mapping[Any, str]) -> None:
        (place, fault), *more = damage.items()
        others = f", and {len(more)} more are damaged" if more else ""
        super().__init__(f"{place} {fault}{others}{self.CURE}")
        self.damage = dict(damage)


def nearest(word: str, known: list[str] | tuple[str, ...]) -> str:
    """A hint at the end of a sentence: ``; did you mean 'x'?``, or what is known."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known))}."
