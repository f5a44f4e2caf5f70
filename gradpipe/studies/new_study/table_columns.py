"""Which columns of a user's table hold questions, answers and responses, from their names."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import polars as pl

from gradpipe.benchmarks.settings import ColumnNames
from gradpipe.errors import DataError, nearest
from gradpipe.styles import GIVEN, STYLES

#: Names of columns of questions and of gold answers, the most likely first.
QUESTIONS = ("instruction", "question", "prompt", "problem", "query", "input", "task", "text", "q")
ANSWERS = ("answer", "gold", "gold_answer", "correct_answer", "final_answer", "reference")
#: Columns whose names say what they are.
_KNOWN = {*ColumnNames.model_fields, *QUESTIONS, *ANSWERS, *STYLES}
_NUMBER = r"^\s*[-+$€£]?\s*\d[\d.,]*\s*%?\s*$"
_YES_NO = r"(?i)^\s*(yes|no|true|false|\(?[a-e]\)?)\.?\s*$"


def guess_columns(columns: Sequence[str], own: Collection[str] = ()) -> dict[str, Any]:
    """The ``columns`` of a benchmark for a table whose columns are named like response styles.

    Case and separators do not count. ``own`` are the columns of styles that the study declares.
    Empty if gradpipe finds all columns by itself, or if no column is that of a style.
    """
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(re.sub(r"[\s-]+", "_", column.strip().lower()), column)
    responses = {style: by_name[style] for style in STYLES if style in by_name}
    if not responses.keys() - {GIVEN} and not own:
        return {}
    found: dict[str, Any] = {}
    for role, names in (("instruction", QUESTIONS), ("answer", ANSWERS)):
        likely = [by_name[name] for name in names if name in by_name]
        if likely and likely[0] not in (role, *responses.values(), *own):
            found[role] = likely[0]
    if any(style != column for style, column in responses.items()):
        found["responses"] = responses
    return found


def named_columns(given: Mapping[str, str], styles: Sequence[str] = STYLES) -> dict[str, Any]:
    """The ``columns`` of a benchmark from roles and ``styles`` that the user named.

    Raises DataError for a word that is neither a role nor a style.
    """
    roles = [name for name in ColumnNames.model_fields if name != "responses"]
    for word in given:
        if word not in (*roles, *styles):
            raise DataError(
                f"--columns names {word!r}, which is neither a role nor a style: "
                f"{nearest(word, [*roles, *styles])}"
            )
    columns: dict[str, Any] = {role: column for role, column in given.items() if role in roles}
    responses = {style: column for style, column in given.items() if style in styles}
    return columns | ({"responses": responses} if responses else {})


def free_columns(table: pl.DataFrame, used: Collection[str]) -> list[str]:
    """Columns of ``table`` that may hold responses, and are neither ``used`` nor known by name.

    They hold texts of several words that differ from row to row.
    """
    others = [
        name
        for name, kind in table.schema.items()
        if kind == pl.String and name not in used and name.strip().lower() not in _KNOWN
    ]
    if not others or not table.height:
        return []
    text = pl.col(others)
    looks = table.select(
        (text.str.contains(" ").fill_null(value=False).mean() >= 0.5)
        & (text.n_unique() * 2 >= pl.len())
    )
    return [name for name in others if looks[name].item()]


def guess_family(answers: pl.Series) -> str | None:
    """``math`` for gold answers that are numbers, ``commonsense`` for choices, None for others."""
    known = answers.drop_nulls()
    for family, pattern in (("math", _NUMBER), ("commonsense", _YES_NO)):
        if known.len() and known.str.contains(pattern).sum() >= 0.8 * known.len():
            return family
    return None
