"""The mistakes of a study in one message: where each is, what is wrong, and the right name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from gradpipe.errors import nearest
from gradpipe.studies.model_config import ModelConfig
from gradpipe.studies.model_entries import ENTRY_TAGS, SERIES_KEYS
from gradpipe.studies.study import Study

#: Mistakes that a message lists at most.
MOST_LISTED = 20
#: The keys, and the numbers of entries, that lead to a value of a study.
Place = tuple[int | str, ...]


@dataclass(frozen=True)
class Mistake:
    """One mistake: its place, the ``problem`` and the ``cure``.

    Without a cure the problem is a whole sentence, which has one.
    """

    place: Place
    problem: str
    cure: str = ""


def describe(
    mistakes: Sequence[Mistake], source: str, line_at: Callable[[Place], int | None]
) -> str:
    """The mistakes of the study ``source`` as a message: one sentence, or a line for each.

    ``line_at`` is the line of a place in the study's file.
    """
    lines = {mistake: line_at(mistake.place) for mistake in mistakes}
    ordered = sorted(lines, key=lambda mistake: lines[mistake] or float("inf"))
    if len(ordered) == 1:
        (mistake,) = ordered
        line = lines[mistake]
        if not mistake.cure:
            return f"In the study {source}{f', line {line}' if line else ''}: {mistake.problem}"
        place = f" at line {line}" if line else ""
        return f"The study {source} has {mistake.problem}{place}: {mistake.cure}"
    shown = [_line(mistake, lines[mistake]) for mistake in ordered[:MOST_LISTED]]
    if len(ordered) > MOST_LISTED:
        shown.append(f"and {len(ordered) - MOST_LISTED} more")
    return "\n  ".join([f"The study {source} has {len(ordered)} mistakes:", *shown])


def _line(mistake: Mistake, line: int | None) -> str:
    where = f"line {line}" if line else ""
    if mistake.cure:
        return f"{f'{where}: ' if where else ''}{mistake.problem}: {mistake.cure}"
    key = _shown(mistake.place) if mistake.place else ""
    start = f"{where} ({key})" if where and key else where or key
    return f"{start}: {mistake.problem}" if start else mistake.problem


def mistakes_of(error: ValidationError, content: Any, first: int = 0) -> list[Mistake]:
    """The mistakes that validating ``content`` found, each once.

    A key that is missing because it is misspelled is left out. If ``content`` has a part of a list,
    ``first`` is the number of its first entry in the whole list.
    """
    found = error.errors()
    unknown = [mistake["loc"] for mistake in found if mistake["type"] == "extra_forbidden"]
    meant = {(*place[:-1], _meant(place)) for place in unknown}
    # A list whose entries are invalid is also too short.
    around = {one["loc"][:end] for one in found for end in range(1, len(one["loc"]))}
    mistakes: dict[Place, Mistake] = {}
    for one in found:
        place, kind = one["loc"], one["type"]
        implied = kind == "missing" and (place in meant or _is_implied(place, content))
        if implied or place in around:
            continue
        real = _real(place, content, kind)
        if first and len(real) > 1 and isinstance(real[1], int):
            real = (real[0], real[1] + first, *real[2:])
        # The alternatives of one value are one mistake.
        mistakes.setdefault(real, _mistake(real, one))
    return list(mistakes.values())


def _mistake(place: Place, error: Any) -> Mistake:
    where = repr(_shown(place))
    if error["type"] == "extra_forbidden":
        return Mistake(
            place, f"an unknown key {where}", nearest(str(place[-1])[:80], _known(error))
        )
    if error["type"] == "missing":
        return Mistake(place, f"no {where}", "add it.")
    value = _short(repr(error["input"]), 60)
    mapping = error["type"] in {"model_type", "dict_type"}
    message = error["msg"].removeprefix("Value error, ").lower().replace("tuple", "list")
    expected = "input should be a mapping" if mapping else message
    return Mistake(place, f"{value} as {where}", f"{expected}.")


def _known(error: Any) -> list[str]:
    schema = _schema_at(error["loc"][:-1])
    # With one of these keys, the model would be a series.
    return [*schema.model_fields, *(SERIES_KEYS if schema is ModelConfig else ())]


def _meant(place: Place) -> str | None:
    """The required or other key that an unknown one is closest to."""
    names = list(_schema_at(place[:-1]).model_fields)
    return next(iter(get_close_matches(str(place[-1]), names, n=1, cutoff=0.6)), None)


def _is_implied(place: Place, content: Any) -> bool:
    """Whether a missing key follows from another mistake: a benchmark's name implies its source."""
    if len(place) != 3 or place[0] != "benchmarks" or place[2] != "source":
        return False
    return not isinstance(content["benchmarks"][place[1]].get("name"), str)


def _real(place: Place, content: Any, kind: str) -> Place:
    """A place without the names that pydantic gives to alternatives of one value."""
    real: list[int | str] = []
    node = content
    for number, part in enumerate(place):
        if part in ENTRY_TAGS:
            continue
        inside = (isinstance(node, dict) and part in node) or (
            isinstance(node, list) and isinstance(part, int) and part < len(node)
        )
        # A key that is unknown or missing comes last, and has to be named.
        last = number == len(place) - 1 and kind in {"extra_forbidden", "missing", "invalid_key"}
        if inside or last or part in _schema_at(place[:number]).model_fields:
            real.append(part)
        node = node[part] if inside else None
    return tuple(real)


def _shown(place: Place) -> str:
    # No setting's name is longer.
    return _short(".".join(map(str, place)), 32 if len(place) > 1 else 24)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _schema_at(place: Place) -> type[BaseModel]:
    """The settings class at a place of a study."""
    schema: type[BaseModel] = Study
    for key in place:
        if key in ENTRY_TAGS:
            schema = ENTRY_TAGS[str(key)]
        elif isinstance(key, str) and key in schema.model_fields:
            schema = _settings(schema.model_fields[key].annotation) or schema
    return schema


def _settings(annotation: Any) -> type[BaseModel] | None:
    """The first settings class in an annotation such as ``tuple[ModelConfig, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_settings, get_args(annotation))), None)
