"""The rows of a table as training examples, in any of the known formats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import polars as pl

from gradpipe.benchmarks.table_files import join_input, text_column
from gradpipe.conversations.cells import RowError
from gradpipe.conversations.completions import (
    TextOrMessages,
    divide_texts,
    join_messages,
    same_messages,
)
from gradpipe.conversations.examples import Conversation, Example, Pair, PlainText, Unusable
from gradpipe.conversations.formats import TEXTS_OR_MESSAGES, DataFormat
from gradpipe.conversations.messages import (
    check_conversation,
    check_think_block,
    look_like_messages,
    read_messages,
)
from gradpipe.conversations.row_settings import RowSettings, read_settings, read_spans
from gradpipe.conversations.token_columns import read_token_ids
from gradpipe.errors import DataError

#: One row: the cells of the format's columns, by role.
RowCells = Mapping[str, Any]
#: The roles of the two texts of a pair, and whether the second continues the first.
_PAIRS = {
    "instruction_output": ("instruction", "output", False),
    "question_answer": ("question", "answer", False),
    "problem_solution": ("problem", "solution", False),
    "prompt_completion": ("prompt", "completion", True),
    "prompt_response": ("prompt", "response", True),
}


def read_examples(
    table: pl.DataFrame,
    data_format: DataFormat,
    name: str,
    *,
    response_template: str | None = None,
) -> list[Example]:
    """One example per row, in order; a row that cannot be used is Unusable, with the reason.

    A missing text of a pair is None. ``response_template`` is the text after which the response
    begins, in data of the format ``text``; its last occurrence counts.

    Raises DataError, which calls the table ``name``, if no row can be used, a column of texts
    holds lists or objects, or there is a ``response_template`` for another format.
    """
    examples = read_rows(table, data_format, name, response_template=response_template)
    if all(isinstance(example, Unusable) for example in examples):
        reason = next(one.reason for one in examples if isinstance(one, Unusable))
        raise no_usable_row(name, data_format, reason)
    return examples


def read_rows(
    table: pl.DataFrame,
    data_format: DataFormat,
    name: str,
    *,
    response_template: str | None = None,
) -> list[Example]:
    """As ``read_examples``, for some of a table's rows, of which none needs to be usable."""
    if response_template is not None and data_format.kind != "text":
        raise DataError(
            f"A response template divides texts, and {name} has {data_format.sentence()}: leave "
            "it out (--response-template), or name the column of texts (--columns text=COLUMN)."
        )
    read = _reader(data_format, response_template)
    return [_read_row(read, cells) for cells in _rows(table, data_format, name)]


def no_usable_row(name: str, data_format: DataFormat, reason: str) -> DataError:
    """The error of a table whose rows are all unusable, the first for that ``reason``."""
    return DataError(
        f"No row of {name}, read as {data_format.sentence()}, can be used (in row 0, {reason}):"
        " correct the rows, or name other columns (--columns)."
    )


def _read_row(read: Callable[[RowCells], Example], cells: RowCells) -> Example:
    try:
        return read(cells)
    except RowError as error:
        return Unusable(str(error))
    except RecursionError:
        return Unusable("its objects are nested too deeply")


def _rows(table: pl.DataFrame, data_format: DataFormat, name: str) -> Iterator[dict[str, Any]]:
    """The cells of each row by role; texts are joined to their input."""
    columns = {}
    for role, column in data_format.columns.items():
        is_text = role in _TEXT_ROLES and role not in data_format.messages
        columns[role] = text_column(table, column, name) if is_text else table[column]
    if "input" in columns:
        texts = pl.DataFrame({role: columns[role] for role in ("instruction", "input")})
        columns["instruction"] = texts.select(join_input("instruction", "input")).to_series()
    lists = [series.to_list() for series in columns.values()]
    return (dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True))


_TEXT_ROLES = {role for first, second, _ in _PAIRS.values() for role in (first, second)} | {
    "input",
    "chosen",
    "rejected",
    "text",
    "system",
}


def _reader(
    data_format: DataFormat, response_template: str | None
) -> Callable[[RowCells], Example]:
    """The function that makes an example of a row."""
    columns, kind = data_format.columns, data_format.kind

    def conversation(cells: RowCells) -> Example:
        return _conversation(read_messages(cells[kind], columns[kind]), None, cells, columns)

    def pair(cells: RowCells) -> Example:
        first, second, joined = _PAIRS[kind]
        prompt, completion = (_side(cells, role, data_format) for role in (first, second))
        if kind != "instruction_output" and isinstance(completion, str):
            check_think_block(completion)
        return _example(prompt, completion, joined, cells, columns)

    def chosen(cells: RowCells) -> Example:
        return _chosen(cells, data_format)

    def text(cells: RowCells) -> Example:
        return _plain_text(cells["text"], response_template)

    def tokens(cells: RowCells) -> Example:
        return read_token_ids(cells, columns)

    readers = {"tokens": tokens, "chosen": chosen, "text": text}
    readers |= dict.fromkeys(("messages", "conversations"), conversation)
    return readers.get(kind, pair)


def _side(cells: RowCells, role: str, data_format: DataFormat) -> TextOrMessages | None:
    """The prompt or completion of a row: a text, messages, or None if it is missing."""
    cell, column = cells.get(role), data_format.columns.get(role, role)
    if cell is None:
        return None
    if role in data_format.messages:
        if not look_like_messages(cell) and isinstance(cell, str):
            raise RowError(f"the column `{column}` holds a text here, and messages in other rows")
        return read_messages(cell, column)
    if role in TEXTS_OR_MESSAGES and look_like_messages(cell):
        raise RowError(f"the column `{column}` holds messages here, and texts in other rows")
    return str(cell)


def _chosen(cells: RowCells, data_format: DataFormat) -> Example:
    """The preferred response; without a prompt, that is what both responses begin with."""
    columns = data_format.columns
    chosen, rejected = (_side(cells, role, data_format) for role in ("chosen", "rejected"))
    if isinstance(chosen, str):
        check_think_block(chosen)
    if "prompt" in columns:
        prompt = _side(cells, "prompt", data_format)
        return _example(prompt, chosen, True, cells, columns)
    if isinstance(chosen, str) and isinstance(rejected, str):
        asked, response = divide_texts(chosen, rejected)
        return _example(asked, response, True, cells, columns)
    if isinstance(chosen, list):
        common = same_messages(chosen, rejected) if isinstance(rejected, list) else 0
        prompt_messages = common if 0 < common < len(chosen) else None
        return _conversation(chosen, prompt_messages, cells, columns)
    raise RowError(
        f"the column `{columns['chosen']}` is null"
        if chosen is None
        else "there is no prompt, and no rejected text to find it by"
    )


def _example(
    prompt: TextOrMessages | None,
    completion: TextOrMessages | None,
    joined: bool,
    cells: RowCells,
    columns: Mapping[str, str],
) -> Example:
    """A pair of texts, or a conversation where there is more than texts."""
    settings = read_settings(cells, columns)
    plain = settings == RowSettings() or None in (prompt, completion)
    if plain and not isinstance(prompt, list) and not isinstance(completion, list):
        return Pair(prompt, completion, joined, read_spans(cells, completion, columns))
    if prompt is None or completion is None:
        raise RowError(f"the {'completion' if completion is None else 'prompt'} is missing")
    return _conversation(*join_messages(prompt, completion), cells, columns)


def _conversation(
    messages: list[Any], prompt_messages: int | None, cells: RowCells, columns: Mapping[str, str]
) -> Conversation:
    settings = read_settings(cells, columns)
    has_system = any(message["role"] in ("system", "developer") for message in messages)
    if settings.system is not None and not has_system:
        messages = [{"role": "system", "content": settings.system}, *messages]
        prompt_messages = None if prompt_messages is None else prompt_messages + 1
    check_conversation(messages)
    response = messages[-1]["content"]
    return Conversation(
        messages=tuple(messages),
        prompt_messages=prompt_messages,
        tools=settings.tools,
        template_settings=settings.template_settings,
        spans=read_spans(cells, response, columns),
    )


def _plain_text(text: str | None, response_template: str | None) -> PlainText:
    if not text:
        raise RowError("the text is missing" if text is None else "the text is empty")
    if response_template is None:
        return PlainText(text)
    before, found, response = text.rpartition(response_template)
    if not found:
        raise RowError(f"the text has no {response_template!r}, after which the response begins")
    if not response:
        raise RowError("the response is empty")
    check_think_block(response)
    return PlainText(text, len(before) + len(found))
