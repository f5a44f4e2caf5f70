"""Find every mistake of a study that cannot be used: its settings one by one, then together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from gradpipe.errors import GradpipeError, nearest
from gradpipe.gradients.protocol import PRESETS, Protocol
from gradpipe.gradients.setting_errors import setting_errors
from gradpipe.statistics.reductions import REDUCTIONS
from gradpipe.studies.base_models import unknown_bases
from gradpipe.studies.mistakes import Mistake, Place, mistakes_of
from gradpipe.studies.model_entries import ModelEntry
from gradpipe.studies.names import require_distinct_names
from gradpipe.studies.study import Study
from gradpipe.studies.study_styles import style_mistakes, usable_names

#: Entries of a list that are looked at one by one; each takes a tenth of a millisecond.
MOST_ENTRIES = 2000
#: What stands for the required settings while others are looked at.
_STAND_IN: dict[str, Any] = {"models": ["demo"], "benchmarks": ["mini_maths"]}
#: Settings that other settings are read with.
_BESIDE = {"benchmarks": ("styles",), "claims": ("styles", "statistics")}


class _Models(BaseModel):
    """The models of a study by themselves: the base of one may be another."""

    models: tuple[ModelEntry, ...]


def find_mistakes(content: dict[Any, Any]) -> list[Mistake]:
    """Every mistake of a study's content, with the paths made absolute.

    Settings are validated one by one, so that an invalid one does not hide the others; then the
    valid ones are compared with each other.
    """
    mistakes: list[Mistake] = []
    for key in sorted(content, key=lambda key: key in _BESIDE):
        invalid = {mistake.place[0] for mistake in mistakes if mistake.place}
        usable = [name for name in _BESIDE.get(key, ()) if name in content and name not in invalid]
        beside = {name: content[name] for name in usable}
        if key == "claims" and "statistics" in invalid:
            beside["statistics"] = list(REDUCTIONS)
        if key in _BESIDE and "styles" in invalid and isinstance(content["styles"], dict):
            # Their names are right although a label or color is wrong.
            names = usable_names(content["styles"])
            beside |= {"styles": dict.fromkeys(names)} if names else {}
        mistakes += _mistakes_in(key, content[key], beside)
    mistakes += _missing(content)
    return mistakes + list(_contradictions(content, {mistake.place for mistake in mistakes}))


def _mistakes_in(
    key: Any, value: Any, beside: dict[str, Any], number: int | None = None
) -> list[Mistake]:
    """The mistakes of one setting, or of its entry ``number``, the only one in ``value``."""
    try:
        _validate(key, value, beside)
    except ValidationError as error:
        return mistakes_of(error, {key: value}, number or 0)
    except GradpipeError as error:
        if key == "protocol" and isinstance(value, dict):
            return _mistakes_in_protocol(value, error)
        whole = [Mistake((key,) if number is None else (key, number), str(error))]
        if key == "styles" and isinstance(value, dict):
            styles = [Mistake((key, *place), str(one)) for place, one in style_mistakes(value)]
            return styles or whole
        if number is None and isinstance(value, list):
            entries = enumerate(value[:MOST_ENTRIES])
            each = [_mistakes_in(key, [entry], beside, place) for place, entry in entries]
            # Entries that contradict each other are not wrong by themselves.
            found = [mistake for mistakes in each for mistake in mistakes]
            return found or ([] if key in _STAND_IN else whole)
        return whole
    return []


def _validate(key: Any, value: Any, beside: dict[str, Any]) -> None:
    if key == "models" and isinstance(value, list):
        _Models.model_validate({key: value})
    else:
        Study.model_validate({**_STAND_IN, **beside, key: value})


def _mistakes_in_protocol(value: dict[Any, Any], error: GradpipeError) -> list[Mistake]:
    """The mistakes of a protocol, of which ``error`` names the first."""
    changes = {str(name): setting for name, setting in value.items() if name != "preset"}
    preset = str(value.get("preset", "standard"))
    mistakes = []
    if preset not in PRESETS:
        sentence = f"There is no protocol {preset!r}: {nearest(preset, list(PRESETS))}"
        mistakes.append(Mistake(("protocol", "preset"), sentence))
    base = PRESETS.get(preset, PRESETS["standard"])
    try:
        Protocol.model_validate({**base.model_dump(), **changes})
    except ValidationError as invalid:
        found = setting_errors(invalid, list(Protocol.model_fields))
        mistakes += [Mistake(("protocol", *place), sentence) for place, sentence in found]
    except GradpipeError:
        # Settings that contradict each other, unless they are read with another preset.
        mistakes = mistakes or [Mistake(("protocol",), str(error))]
    return mistakes or [Mistake(("protocol",), str(error))]


def _missing(content: dict[Any, Any]) -> list[Mistake]:
    """The required settings that a study does not have, unless they are only misspelled."""
    if all(key in content for key in _STAND_IN):
        return []
    named = {key: value for key, value in content.items() if isinstance(key, str)}
    unknown = {key: value for key, value in named.items() if key not in Study.model_fields}
    given = {key: value for key, value in _STAND_IN.items() if key in content}
    try:
        Study.model_validate({**unknown, **given})
    except ValidationError as error:
        return [m for m in mistakes_of(error, unknown) if m.place[-1] in _STAND_IN]
    return []


def _contradictions(content: dict[Any, Any], invalid: set[Place]) -> Iterator[Mistake]:
    """What is wrong with valid models and benchmarks beside each other."""
    for key in _STAND_IN:
        entries = content.get(key)
        if not isinstance(entries, list):
            continue
        places = {place[:2] for place in invalid}
        usable = [entry for n, entry in enumerate(entries) if (key, n) not in places]
        complete = len(usable) == len(entries)
        try:
            named = _named(key, usable)
        except (ValidationError, GradpipeError):
            # Already among the mistakes.
            continue
        try:
            require_distinct_names([name for name, _ in named], key)
        except GradpipeError as error:
            yield Mistake((key,), str(error))
        # The base of a model may be an entry that is invalid.
        if key == "models" and complete:
            for number, unknown in unknown_bases([model for _, model in named]):
                yield Mistake((key, number), str(unknown))


def _named(key: str, entries: list[Any]) -> list[tuple[str, Any]]:
    if key == "models":
        return [(model.name, model) for model in _Models(models=tuple(entries)).models]
    # Names alone: two benchmarks of one name would be refused.
    names = [entry.get("name") if isinstance(entry, dict) else entry for entry in entries]
    return [(name, None) for name in names if isinstance(name, str)]
