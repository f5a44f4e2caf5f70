"""The errors of gradpipe: one sentence with the cause and the remedy."""

from collections.abc import Mapping
from typing import Any

#: The most known words that an error lists.
MOST_KNOWN = 20


class GradpipeError(Exception):
    """Base of gradpipe's errors; the command line prints it without a traceback and exits with 2.

    ``transient``: a retry may succeed, for example after a network failure.
    """

    def __init__(self, message: str = "", *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


class StudyError(GradpipeError):
    """A study file or setting is invalid."""


class DataError(GradpipeError):
    """A benchmark or data file is missing, altered, empty or has the wrong columns."""


class ModelError(GradpipeError):
    """A model is missing, cannot be loaded or has no known projections."""


class WorkspaceError(GradpipeError):
    """A workspace cannot be read or written."""


class DamagedError(WorkspaceError):
    """Files of a workspace are damaged.

    ``damage`` maps each file to its fault, worded as the end of a sentence about the file.
    """

    CURE = (
        ": run `gradpipe run`, which recomputes it, or `gradpipe doctor --repair`, which finds all "
        "damaged files."
    )

    def __init__(self, damage: Mapping[Any, str]) -> None:
        (place, fault), *more = damage.items()
        others = f", and {len(more)} more are damaged" if more else ""
        super().__init__(f"{place} {fault}{others}{self.CURE}")
        self.damage = dict(damage)


def nearest(word: str, known: list[str] | tuple[str, ...]) -> str:
    """Return a hint to end a sentence with: ``did you mean 'x'?``, or the known words.

    Of more than MOST_KNOWN words, it names the first ones and says how many there are.
    """
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    words = sorted(known)
    more = f" and {len(words) - MOST_KNOWN} more" if len(words) > MOST_KNOWN else ""
    return f"known are {', '.join(words[:MOST_KNOWN])}{more}."
