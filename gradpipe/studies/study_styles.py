"""The styles of a study: a list of built-in ones, or a mapping that also declares its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from gradpipe.errors import StudyError, nearest
from gradpipe.styles import RELEVANCES, STYLES, is_own_style, sorted_styles, uncut_style

#: Names that are safe in claims, columns of tables, files and charts.
STYLE_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,39}")
#: Words that stand where a style may stand in a claim, or follow it.
_RESERVED = {
    *RELEVANCES,
    *("on", "mad", "of", "in", "over", "layers", "early", "mid", "last", "log", "relative", "all"),
}
#: How colors are written.
COLOR = re.compile(r"#[0-9A-Fa-f]{6}")
#: The key of a color in either spelling.
COLOR_KEY = re.compile(r"^colou?r$")
#: The length of labels and names of columns.
MOST_CHARACTERS = 60


@dataclass(frozen=True, kw_only=True)
class StyleSettings:
    """How a style is shown, and the ``column`` of a benchmark's table that holds its responses.

    ``label`` and ``color`` (#RRGGBB) are None for the default ones, ``column`` for the style's
    name. In a table with one row per response, ``column`` is the style's value instead.
    """

    label: str | None = None
    color: str | None = None
    column: str | None = None

    def as_mapping(self) -> dict[str, str]:
        """The settings that are given, as a study file has them."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


class StudyStyles(tuple[str, ...]):
    """The names of a study's styles in their order, with the ``settings`` of each.

    ``settings`` is empty if the study lists built-in styles; then nothing but the names counts.
    """

    settings: dict[str, StyleSettings]

    def __new__(
        cls, names: Iterable[str], settings: Mapping[str, StyleSettings] | None = None
    ) -> StudyStyles:
        """The styles ``names``; ``settings`` has an entry for each of them, or none."""
        styles = super().__new__(cls, names)
        styles.settings = dict(settings or {})
        return styles

    def __eq__(self, other: object) -> bool:
        equal = isinstance(other, tuple) and tuple.__eq__(self, other)
        return equal and self.settings == getattr(other, "settings", {})

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return super().__hash__()

    @property
    def own(self) -> tuple[str, ...]:
        """The styles that are not built in, except styles of cut responses."""
        return tuple(s for s in self if is_own_style(s) and uncut_style(s, self) is None)

    @property
    def labels(self) -> dict[str, str]:
        """The labels that the study gives, by style."""
        return {name: one.label for name, one in self.settings.items() if one.label}

    @property
    def colors(self) -> dict[str, str]:
        """The colors that the study gives, by style."""
        return {name: one.color for name, one in self.settings.items() if one.color}

    def columns(self, wanted: Iterable[str]) -> dict[str, str]:
        """The columns of the own styles among ``wanted``, by style, in an order of their own."""
        chosen = sorted_styles(set(wanted) & set(self.own))
        return {style: self.settings[style].column or style for style in chosen}

    def as_content(self) -> list[str] | dict[str, dict[str, str]]:
        """The styles as a study file has them: a list, or a mapping if the study has settings."""
        if not self.settings:
            return list(self)
        return {name: self.settings[name].as_mapping() for name in self}

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A list as Pydantic reads one of texts, or a mapping, and back."""
        return core_schema.no_info_wrap_validator_function(
            _read,
            handler(tuple[str, ...]),
            serialization=core_schema.plain_serializer_function_ser_schema(_written),
        )


def known_styles(styles: StudyStyles | None) -> tuple[str, ...]:
    """The built-in styles and the declared ones."""
    return tuple(dict.fromkeys((*STYLES, *(styles or ()))))


def style_mistakes(content: Mapping[Any, Any]) -> Iterator[tuple[tuple[Any, ...], StudyError]]:
    """What is wrong with a mapping of styles, each mistake with the keys that lead to it."""
    valid: dict[str, StyleSettings] = {}
    for name, entry in content.items():
        checks: list[tuple[tuple[Any, ...], Callable[[], object]]]
        checks = [((name,), partial(_require_name, name))]
        if isinstance(entry, Mapping):
            checks += [((name, k), partial(_settings, name, {k: v})) for k, v in entry.items()]
        else:
            checks.append(((name,), partial(_settings, name, entry)))
        mistakes = [(place, error) for place, check in checks if (error := _error_of(check))]
        yield from mistakes
        if not mistakes:
            valid[name] = _settings(name, entry)
    if error := _error_of(partial(_require_distinct, StudyStyles(valid, valid))):
        yield (), error


def usable_names(content: Mapping[Any, Any]) -> list[str]:
    """The names in a mapping of styles that a style may have, whatever its settings are."""
    return [name for name in content if _error_of(partial(_require_name, name)) is None]


def _error_of(check: Callable[[], object]) -> StudyError | None:
    try:
        check()
    except StudyError as error:
        return error
    return None


def _written(styles: StudyStyles) -> list[str] | dict[str, dict[str, str]]:
    return styles.as_content()


def _read(value: Any, read_list: Any) -> StudyStyles:
    if isinstance(value, StudyStyles):
        return value
    if isinstance(value, Mapping):
        return declared_styles(value)
    return StudyStyles(read_list(value))


def declared_styles(content: Mapping[Any, Any]) -> StudyStyles:
    """The styles of a mapping from names to settings; raises StudyError."""
    if not content:
        raise StudyError("`styles` is empty: name at least one style, or leave it out.")
    for name in content:
        _require_name(name)
    settings = {name: _settings(name, entry) for name, entry in content.items()}
    styles = StudyStyles(settings, settings)
    _require_distinct(styles)
    return styles


def _require_name(name: Any) -> None:
    if name in STYLES:
        return
    if not isinstance(name, str) or not STYLE_NAME.fullmatch(name):
        raise StudyError(
            f"The style {str(name)[:60]!r} cannot be named so: start with a small letter, go on "
            "with at most 39 small letters, digits, `_`, `-` or `.`, and give its `label` or "
            "`column` apart."
        )
    if name in _RESERVED:
        raise StudyError(
            f"The style {name!r} has the name of another part of a claim: choose another name, and "
            f"give {name!r} as its `column` or `label`."
        )


def _settings(name: str, entry: Any) -> StyleSettings:
    if entry is None:
        return StyleSettings()
    if isinstance(entry, StyleSettings):
        return entry
    if not isinstance(entry, Mapping):
        raise StudyError(
            f"The style {name!r} has {str(entry)[:60]!r} as its settings: give a mapping, such as "
            '{label: "Teacher A", color: "#0072B2"}.'
        )
    given = {COLOR_KEY.sub("color", str(key)): value for key, value in entry.items()}
    known = [field.name for field in fields(StyleSettings)]
    for key, value in given.items():
        if key not in known:
            raise StudyError(
                f"The style {name!r} has an unknown key {key[:60]!r}: {nearest(key, known)}"
            )
        if key == "color":
            _require_color(name, value)
        elif not _is_short_text(value):
            raise StudyError(
                f"The style {name!r} has {str(value)[:60]!r} as its `{key}`: give a text of 1 to "
                f"{MOST_CHARACTERS} characters in one line."
            )
    if name in STYLES and "column" in given:
        raise StudyError(
            f"The style {name!r} is built in: name its column in the benchmark's "
            f"`columns: {{responses: {{{name}: ...}}}}`."
        )
    return StyleSettings(**given)


def _is_short_text(value: Any) -> bool:
    if not isinstance(value, str) or len(value) > MOST_CHARACTERS:
        return False
    return value.isprintable() and bool(value.strip())


def _require_color(name: str, value: Any) -> None:
    if value is None:
        raise StudyError(
            f'The style {name!r} has an empty `color`: write it in quotes, as in "#0072B2", '
            "because # begins a comment in YAML."
        )
    if not isinstance(value, str) or not COLOR.fullmatch(value):
        raise StudyError(
            f"The style {name!r} has the color {str(value)[:60]!r}: write it as # and six "
            'hexadecimal digits in quotes, such as "#0072B2".'
        )


def _require_distinct(styles: StudyStyles) -> None:
    """Two styles with one label or column could not be distinguished."""
    for setting in ("label", "column"):
        seen: dict[str, str] = {}
        for name in styles:
            value = getattr(styles.settings[name], setting) or name
            other = seen.setdefault(value.strip().lower() if setting == "label" else value, name)
            if other != name:
                raise StudyError(
                    f"The styles {other!r} and {name!r} have the same `{setting}`, {value!r}: give "
                    "each its own."
                )
