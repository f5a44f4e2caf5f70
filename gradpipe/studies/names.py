"""Names of models and benchmarks as parts of file names."""

from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

from gradpipe.errors import StudyError, nearest

#: The most characters of a model's or benchmark's name. Characters other than letters, digits,
#: ``-``, ``_`` and ``/`` count three times per byte, since they are escaped in file names.
LONGEST_NAME = 200


def require_distinct_names(names: Sequence[str], kind: str) -> None:
    """Raise StudyError for names that are equal, or cannot be distinct files on any file system.

    ``kind`` is "models" or "benchmarks".
    """
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise StudyError(
            f"The study names {', '.join(repeated)} twice among its {kind}: give each its own "
            "`name`."
        )
    for name in names:
        if len(quote(name, safe="/").replace(".", "%2e").replace("~", "%7e")) > LONGEST_NAME:
            raise StudyError(
                f"The name {name[:40]!r}... among the study's {kind} is too long for a file: give "
                f"a `name` of at most {LONGEST_NAME} characters, of which those other than English "
                "letters and digits count up to twelve times."
            )
    # Only English letters are kept as letters in file names, so only their case can get lost.
    seen: dict[bytes, str] = {}
    for name in names:
        other = seen.setdefault(name.encode().lower(), name)
        if other != name:
            raise StudyError(
                f"The study's {kind} {other!r} and {name!r} differ only in capital letters, which "
                "some file systems do not distinguish: give one of them another `name`."
            )


def require_known_names(kind: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Raise StudyError for a name that is not known or is listed twice; ``kind`` is singular."""
    for name in names:
        if name not in known:
            raise StudyError(f"There is no {kind} {name!r}: {nearest(name, list(known))}")
        if names.count(name) > 1:
            raise StudyError(f"The {kind} {name!r} is listed twice: list it once.")
