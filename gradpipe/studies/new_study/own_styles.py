"""Styles of a user's own in a new study: columns of a table that hold responses to compare."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from gradpipe.errors import StudyError, nearest
from gradpipe.studies.new_study.data_entry import DataEntry
from gradpipe.studies.new_study.text import NewStudy
from gradpipe.studies.study_styles import STYLE_NAME, StudyStyles, declared_styles


def styles_of_columns(text: str) -> StudyStyles:
    """Parse columns such as ``teacher_a,Teacher B,gpt=GPT-4o`` into a style each.

    A style is named as is said, else like its column, with small letters and without spaces. Raises
    StudyError for a name that a style cannot have, and for one that occurs twice.
    """
    content: dict[str, dict[str, str] | None] = {}
    for word in filter(None, map(str.strip, text.split(","))):
        named, sign, other = (part.strip() for part in word.partition("="))
        column = other if sign else word
        name = named if sign or STYLE_NAME.fullmatch(word) else _like(word)
        if name in content:
            raise StudyError(f"The style {name!r} occurs twice: write NAME=COLUMN for one of them.")
        content[name] = None if column == name else {"column": column}
    return declared_styles(content)


def _like(column: str) -> str:
    return re.sub(r"[^a-z0-9_.-]+", "_", column.lower()).strip("_")[:40]


def with_own_styles(study: NewStudy, styles: StudyStyles) -> NewStudy:
    """The study with declared ``styles``; benchmarks that have other ones name them.

    A study that declares styles has no others, so those are declared too. Raises StudyError for a
    style that no data have.
    """
    own = set(styles)
    found = {style for entry in study.data for style in entry.styles}
    for name, column in styles.columns(styles).items():
        if name not in found:
            free = [one for entry in study.data for one in entry.free]
            raise StudyError(
                f"No data have the column {column!r} of the style {name!r}: "
                + (nearest(column, free) if free else "correct its name.")
            )
    data = [one if own & set(one.styles) else _naming_its_styles(one) for one in study.data]
    others = dict.fromkeys(style for one in data for style in one.styles if style not in own)
    content: dict[str, Any] = {name: styles.settings[name] for name in styles}
    return replace(study, data=data, styles=declared_styles(content | others))


def _naming_its_styles(entry: DataEntry) -> DataEntry:
    setting = {"name": entry.setting} if isinstance(entry.setting, str) else entry.setting
    return replace(entry, setting={**setting, "styles": list(entry.styles)})
