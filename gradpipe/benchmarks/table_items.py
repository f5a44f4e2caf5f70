"""Rows of a table as items: by a column per response style, or in a format of training data."""

from collections.abc import Mapping, Sequence

import polars as pl

from gradpipe.benchmarks.item_columns import item_columns
from gradpipe.benchmarks.items import build_items
from gradpipe.benchmarks.long_tables import wide_table
from gradpipe.benchmarks.settings import ColumnNames, TableSettings
from gradpipe.benchmarks.table_files import instruction_column, join_input, text_column
from gradpipe.conversations.context import context_of, is_unusable, pair_of
from gradpipe.conversations.formats import DataFormat, find_format
from gradpipe.conversations.read_examples import read_examples
from gradpipe.errors import DataError, nearest
from gradpipe.styles import GIVEN, STYLES


def table_items(
    table: pl.DataFrame, config: TableSettings, name: str, family: str | None
) -> pl.DataFrame:
    """The rows of a table as items (ITEM_SCHEMA), with columns named by ``config.columns``.

    A table has columns of instructions and of responses per style; one with answers needs no
    responses, since a study's generator can write them. The column ``columns.style`` says that
    there is one row per response instead. A table without these has the columns of a
    format of training data: its responses have the style ``given``, and rejected responses have a
    relevance of their own. A row that cannot be used stays, with its reason in its context.

    Raises DataError, which calls the table ``name``, if a named column is missing or not text, no
    column holds responses or answers and no format is found, a row of styles has no instruction, or
    no row of a format can be used.
    """
    columns = config.columns
    if columns.style is not None:
        wide, style_columns = wide_table(table, columns, config.own_styles, name)
        return _items_of_styles(wide, style_columns, config, name, family)
    styles = _response_columns(table, config, name)
    if styles is not None and config.response_template is None:
        return _items_of_styles(table, styles, config, name, family)
    try:
        data_format = find_format(table, name, _roles(table, columns))
    except DataError as error:
        if columns.roles():
            raise
        if (columns.answer or "answer") in table.columns:
            # Questions without their column: the error names the nearest one.
            instruction_column(table, columns.instruction, name)
        raise _no_responses(table, name) from error
    return _items_of_format(table, data_format, config, name, family)


def count_unusable(items: pl.DataFrame) -> int:
    """The number of items (ITEM_SCHEMA) that are rows of the data that cannot be used."""
    return sum(context is not None and is_unusable(context) for context in items["context"])


def template_content(config: TableSettings) -> dict[str, str]:
    """What a response template adds to the identity of a benchmark's content."""
    template = config.response_template
    return {} if template is None else {"response_template": template}


def _items_of_styles(
    table: pl.DataFrame,
    styles: dict[str, str],
    config: TableSettings,
    name: str,
    family: str | None,
) -> pl.DataFrame:
    columns = config.columns
    others = item_columns(table.columns, columns, styles.values())
    rows = pl.DataFrame(
        [
            instruction_column(table, columns.instruction, name).alias("instruction"),
            _texts(table, "input", others.get("input"), name),
            _texts(table, "answer", others.get("answer"), name),
            _texts(table, "rationale", others.get("rationale"), name),
            *(text_column(table, c, name).alias(f"response/{s}") for s, c in styles.items()),
        ]
    ).with_columns(instruction=join_input("instruction", "input"))
    responses = {(style, "correct"): f"response/{style}" for style in styles}
    return build_items(rows, config.name, family, responses)


def _items_of_format(
    table: pl.DataFrame,
    data_format: DataFormat,
    config: TableSettings,
    name: str,
    family: str | None,
) -> pl.DataFrame:
    if data_format.kind == "tokens":
        raise DataError(
            f"{name} holds token ids, which are those of one tokenizer, and a study compares "
            "models: take a table of texts or messages, or use `gradpipe extract` with that model."
        )
    template = config.response_template
    given = read_examples(table, data_format, name, response_template=template)
    pairs = [pair_of(example) for example in given]
    contexts = [context_of(example) for example in given]
    others = item_columns(table.columns, config.columns, ())
    # The gold answer, unless the format calls the responses so.
    answers = None if "answer" in data_format.columns else others.get("answer")
    rows = pl.DataFrame(
        [
            pl.Series("instruction", [instruction for instruction, _ in pairs], pl.String),
            _texts(table, "answer", answers, name),
            _texts(table, "rationale", others.get("rationale"), name),
            pl.Series("context", contexts, pl.String),
            pl.Series("given", [response for _, response in pairs], pl.String),
        ]
    )
    responses = {(GIVEN, "correct"): "given"}
    if column := _rejected_column(table, data_format, config.columns):
        rejected = _rejected(table, data_format, column, name, contexts)
        rows = rows.with_columns(pl.Series("rejected", rejected, pl.String))
        responses |= {(GIVEN, "rejected"): "rejected"}
    return build_items(rows, config.name, family, responses)


def _rejected_column(
    table: pl.DataFrame, data_format: DataFormat, columns: ColumnNames
) -> str | None:
    """The column of rejected responses, which only data with preferred responses have."""
    column = columns.rejected or "rejected"
    preferred = data_format.columns.get("chosen")
    return column if preferred not in (None, column) and column in table.columns else None


def _rejected(
    table: pl.DataFrame,
    data_format: DataFormat,
    column: str,
    name: str,
    contexts: Sequence[str | None],
) -> list[str | None]:
    """The rejected responses; None where one cannot be used, or answers other messages."""
    roles = {**data_format.columns, "chosen": column, "rejected": data_format.columns["chosen"]}
    examples = read_examples(table, find_format(table, name, roles), name)
    return [
        pair_of(example)[1] if context_of(example) == context else None
        for example, context in zip(examples, contexts, strict=True)
    ]


def _roles(table: pl.DataFrame, columns: ColumnNames) -> dict[str, str]:
    """The columns that the user named, by the roles of formats."""
    roles = columns.roles()
    if columns.instruction != "instruction":
        roles["instruction"] = columns.instruction
    if columns.input is not None:
        roles["input"] = columns.input
    asks = "question" in roles or (not roles and "question" in table.columns)
    # Of other formats, it is the gold answer, which no format has.
    if columns.answer is not None and asks:
        roles["answer"] = columns.answer
    return roles


def _texts(table: pl.DataFrame, role: str, column: str | None, name: str) -> pl.Series:
    """The texts of a role, all null without a column."""
    if column is None:
        return pl.Series(role, [None] * table.height, dtype=pl.String)
    return text_column(table, column, name).alias(role)


def _response_columns(
    table: pl.DataFrame, config: TableSettings, name: str
) -> dict[str, str] | None:
    """The column of each style; None if the table has neither styles nor questions and answers."""
    columns, own = config.columns, config.own_styles
    known = (*STYLES, *own)
    for style in columns.responses:
        if style not in known:
            raise DataError(
                f"`columns.responses` names the unknown style {style!r}: {nearest(style, known)}"
            )
    roles = list(columns.roles())
    if roles and columns.responses:
        raise DataError(
            f"`columns` names `responses` and `{roles[0]}`: name the columns of styles, or those "
            "of one format of training data."
        )
    own = {**own, **{s: c for s, c in columns.responses.items() if s in own}}
    _require_columns(own, table.columns, name)
    if roles:
        return None
    by_name = {style: style for style in STYLES if style in table.columns}
    styles = {**(columns.responses or by_name), **own}
    answers = {columns.instruction, columns.answer or "answer"}
    return styles if styles or answers <= set(table.columns) else None


def _require_columns(own: Mapping[str, str], present: Sequence[str], name: str) -> None:
    """Raise DataError if a column that a study's own style needs is missing."""
    for style, column in own.items():
        if column not in present:
            raise DataError(
                f"{name} has no column {column!r} for the style {style!r} of the study, only "
                f"{', '.join(present)}: give the style's `column`, or list the benchmark's own "
                "`styles`."
            )


def _no_responses(table: pl.DataFrame, name: str) -> DataError:
    return DataError(
        f"{name} has no column named like a response style and no known format of training data, "
        f"only {', '.join(table.columns)}: say which one holds responses, as in `columns: "
        f"{{responses: {{detailed: {table.columns[-1]}}}}}`, styles are {', '.join(STYLES)}; or "
        "which holds the `answer` that a generator is to write them for."
    )
