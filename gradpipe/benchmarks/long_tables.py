"""Tables with one row per response and a column of styles, as tables with a column per style."""

from collections.abc import Mapping

import polars as pl

from gradpipe.benchmarks.item_columns import item_columns
from gradpipe.benchmarks.settings import ColumnNames
from gradpipe.benchmarks.table_files import text_column
from gradpipe.errors import DataError, nearest
from gradpipe.styles import STYLES

#: The columns of responses, in the order in which they are looked for.
_RESPONSES = ("response", "output", "completion")
_STYLE, _TEXT = "style/", "text/"


def wide_table(
    table: pl.DataFrame, columns: ColumnNames, own_styles: Mapping[str, str], name: str
) -> tuple[pl.DataFrame, dict[str, str]]:
    """One row per item, in the order of their first rows, and the column of each style.

    Rows with the same instruction, input and gold answer are responses to one item; its rationale
    is the first of them, if the user names the column. A value of the column of styles is a style's
    name, or what ``own_styles`` (by style) says it is called; rows with an empty style are skipped.

    Raises DataError, which calls the table ``name``, if a column is missing, a value is not a
    style, or an item has two responses of one style.
    """
    styles = text_column(table, columns.style or "style", name)
    response = _response_column(table, columns, name)
    texts = text_column(table, response, name)
    names = _names(styles.drop_nulls().unique(maintain_order=True).to_list(), own_styles, name)
    item, others = _item_columns(table, columns, response, name)
    labeled = table.with_columns(
        styles.replace_strict(names, default=None, return_dtype=pl.String).alias(_STYLE),
        texts.alias(_TEXT),
    ).drop_nulls(_STYLE)
    twice = labeled.filter(pl.struct(*item, _STYLE).is_duplicated())
    if twice.height:
        raise DataError(
            f"{name} has two responses of the style {twice[_STYLE][0]!r} to the instruction "
            f"{str(twice[item[0]][0])[:60]!r}: keep one, or give each its own style."
        )
    missing = [value for value in own_styles.values() if value not in names]
    if missing:
        raise DataError(
            f"{name} has no response of the style {missing[0]!r}, only of "
            f"{', '.join(names) or 'none at all'}: give the `column` of the study's style the name "
            "that the table uses."
        )
    wide = {style: f"response/{style}" for style in dict.fromkeys(labeled[_STYLE])}
    return (
        labeled.group_by(item, maintain_order=True).agg(
            pl.col(others).drop_nulls().first(),
            *(
                pl.col(_TEXT).filter(pl.col(_STYLE) == style).first().alias(column)
                for style, column in wide.items()
            ),
        ),
        wide,
    )


def _response_column(table: pl.DataFrame, columns: ColumnNames, name: str) -> str:
    named: str | None = next(
        (c for role in _RESPONSES if (c := getattr(columns, role)) is not None), None
    )
    if named is not None:
        return named
    for column in _RESPONSES:
        if column in table.columns:
            return column
    raise DataError(
        f"{name} has a column of styles but none of responses, only {', '.join(table.columns)}: "
        "name it, as in `columns: {style: teacher, response: text}`."
    )


def _names(values: list[str], own_styles: Mapping[str, str], name: str) -> dict[str, str]:
    """The style of each value."""
    by_column = {column: style for style, column in own_styles.items()}
    known = {**{style: style for style in STYLES}, **by_column}
    for value in values:
        if value not in known:
            raise DataError(
                f"{name} has responses of the style {value!r}, which the study does not have: "
                f"declare it in `styles`; {nearest(value, list(known))}"
            )
    return {value: known[value] for value in values}


def _item_columns(
    table: pl.DataFrame, columns: ColumnNames, response: str, name: str
) -> tuple[list[str], list[str]]:
    """The columns that are the same for all responses to an item, and the other ones to keep.

    The instruction comes first. A rationale is kept only if the user names it: each teacher may
    have its own, and an item has one.
    """
    named = item_columns(table.columns, columns, [columns.style or "style", response])
    keys = [columns.instruction, *(named[role] for role in ("input", "answer") if role in named)]
    item = list(dict.fromkeys(keys))
    others = [c for c in (columns.rationale,) if c is not None and c not in item]
    for column in (*item, *others):
        text_column(table, column, name)
    return item, others
