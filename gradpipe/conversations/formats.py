"""Which columns of a table hold the training examples, and in which form.

The formats are tried in the order of FORMAT_KINDS: a table has the first whose columns are there
and hold what they should. Names of columns that the user gives come first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import polars as pl

from gradpipe.conversations.column_values import (
    holds_any_messages,
    holds_messages,
    holds_numbers,
    holds_objects,
    holds_spans,
    holds_texts,
)
from gradpipe.errors import DataError, nearest

#: Columns that a conversation may have beside its messages.
_BESIDE = ("system", "tools", "chat_template_kwargs", "spans")
#: The roles of columns whose cells must hold something, and what.
_HOLD = {
    "input_ids": (holds_numbers, "lists of token ids"),
    "labels": (holds_numbers, "lists of labels"),
    "completion_mask": (holds_numbers, "lists of zeros and ones"),
    "assistant_masks": (holds_numbers, "lists of zeros and ones"),
    "attention_mask": (holds_numbers, "lists of zeros and ones"),
    "messages": (holds_any_messages, "messages"),
    "conversations": (holds_any_messages, "messages"),
    "tools": (holds_objects, "lists of tools"),
    "chat_template_kwargs": (holds_objects, "settings of a chat template"),
    "spans": (holds_spans, "lists of objects with `name`, `start` and `end`"),
}
#: The roles of columns that hold texts or messages.
TEXTS_OR_MESSAGES = ("prompt", "completion", "response", "chosen", "rejected")
#: Column names that a message lists at most, and the characters of each.
_NAMED, _CHARACTERS = 8, 40


@dataclass(frozen=True)
class FormatKind:
    """A format: the noun for its examples, and the roles of its columns.

    ``main`` are those of the examples' own columns, some of them ``required``. A column of
    ``named_only`` is used only if the user names it.
    """

    name: str
    noun: str
    required: tuple[str, ...]
    main: tuple[str, ...]
    beside: tuple[str, ...] = _BESIDE
    named_only: tuple[str, ...] = ()

    @property
    def roles(self) -> tuple[str, ...]:
        """All roles that a column may have."""
        return (*self.main, *self.beside)


def _kind(name: str, noun: str, *required: str) -> FormatKind:
    """A format all of whose own columns are required."""
    return FormatKind(name, noun, required, required)


#: All formats, in order of preference.
FORMAT_KINDS = (
    FormatKind(
        "instruction_output",
        "instructions and outputs",
        ("instruction", "output"),
        ("instruction", "input", "output"),
        named_only=("system", "tools", "chat_template_kwargs"),
    ),
    FormatKind(
        "tokens",
        "token ids",
        ("input_ids",),
        ("input_ids",),
        beside=("labels", "completion_mask", "assistant_masks", "attention_mask"),
    ),
    _kind("messages", "messages", "messages"),
    _kind("conversations", "conversations", "conversations"),
    _kind("prompt_completion", "prompts and completions", "prompt", "completion"),
    _kind("prompt_response", "prompts and responses", "prompt", "response"),
    FormatKind("chosen", "preferred responses", ("chosen",), ("prompt", "chosen", "rejected")),
    _kind("question_answer", "questions and answers", "question", "answer"),
    _kind("problem_solution", "problems and solutions", "problem", "solution"),
    FormatKind("text", "texts", ("text",), ("text",), beside=()),
)


@dataclass(frozen=True)
class DataFormat:
    """The format of a table: the ``kind``'s name, and its ``columns`` by their roles.

    ``messages`` has the roles, among those of texts or messages, whose columns hold messages.
    """

    kind: str
    columns: Mapping[str, str]
    messages: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Name the format, as a phrase without a full stop."""
        kind = next(kind for kind in FORMAT_KINDS if kind.name == self.kind)
        main = [role for role in kind.main if role in self.columns]
        columns = _listed([self.columns[role] for role in main], "`")
        place = "column" if len(main) == 1 else "columns"
        sentence = f"{kind.noun}{self._form(main)} in the {place} {columns}"
        beside = [self.columns[role] for role in kind.beside if role in self.columns]
        return f"{sentence}, with {_listed(beside, '`')}" if beside else sentence

    def _form(self, main: list[str]) -> str:
        """Say whether columns that may hold either hold texts or messages."""
        either = {role for role in main if role in TEXTS_OR_MESSAGES}
        if not either:
            return ""
        forms = {"messages" if role in self.messages else "texts" for role in either}
        return f", as {' and '.join(sorted(forms, reverse=True))},"


def find_format(
    table: pl.DataFrame, name: str, columns: Mapping[str, str] | None = None
) -> DataFormat:
    """The format of a table, from its columns' names and values.

    ``columns`` gives the names of columns by their roles, for example ``{"messages": "chat"}``;
    only formats with these roles are then looked for. Raises DataError, which calls the table
    ``name``, if it has no rows, no format fits, or a role or column of ``columns`` is unknown.
    """
    if table.is_empty():
        raise DataError(f"{name} has no rows: give at least one example.")
    given = dict(columns or {})
    kinds = _kinds_with(given, table, name)
    complete = [
        kind for kind in kinds if all(given.get(r, r) in table.columns for r in kind.required)
    ]
    if not complete:
        raise _no_format(table, name, kinds, given)
    misfits = []
    for kind in complete:
        roles = {role: given.get(role, role) for role in kind.required}
        wrong = [role for role, column in roles.items() if not _fits(role, table[column], kind)]
        if not wrong:
            return _format(kind, table, given)
        misfits += wrong
    role = misfits[0]
    what = "texts or messages" if role in TEXTS_OR_MESSAGES else "texts"
    what = _HOLD[role][1] if role in _HOLD else what
    column = given.get(role, role)
    raise DataError(
        f"Column {column!r} of {name} holds {table[column].dtype}, not {what}: name other columns "
        f"(for example --columns {role}=COLUMN)."
    )


def _kinds_with(given: Mapping[str, str], table: pl.DataFrame, name: str) -> list[FormatKind]:
    """The kinds that have all roles that the user named."""
    known = list(dict.fromkeys(role for kind in FORMAT_KINDS for role in kind.roles))
    for role, column in given.items():
        if role not in known:
            raise DataError(
                f"{role!r} is not a role that a column can have: {nearest(role, known)}"
            )
        if column not in table.columns:
            raise DataError(f"{name} has no column {column!r}: {nearest(column, table.columns)}")
    kinds = [kind for kind in FORMAT_KINDS if set(given) <= set(kind.roles)]
    if not kinds:
        raise DataError(
            f"No format has columns for {_listed(list(given), '`')} together: name the "
            f"columns of one of {_formats(FORMAT_KINDS)}."
        )
    return kinds


def _fits(role: str, series: pl.Series, kind: FormatKind) -> bool:
    if role in _HOLD:
        return _HOLD[role][0](series)
    if role in TEXTS_OR_MESSAGES:
        return holds_texts(series) or holds_messages(series)
    # A column of lists or objects is refused with a message of its own.
    return kind is FORMAT_KINDS[0] or holds_texts(series)


def _format(kind: FormatKind, table: pl.DataFrame, given: Mapping[str, str]) -> DataFormat:
    roles = {role: given.get(role, role) for role in kind.required}
    for role in kind.roles:
        column = given.get(role, role)
        if kind.name == "chosen" and role == "rejected" and roles["chosen"] == "rejected":
            column = given.get(role, "chosen")
        if role in given or (
            role not in kind.named_only
            and column in table.columns
            and column not in {*roles.values(), *given.values()}
            and table[column].null_count() < table.height
            and _fits(role, table[column], kind)
        ):
            roles[role] = column
    if "prompt" in roles:
        # Without a prompt, it is found by comparing the two responses.
        roles.pop("rejected", None)
    messages = tuple(
        r for r, c in roles.items() if r in TEXTS_OR_MESSAGES and holds_messages(table[c])
    )
    return DataFormat(kind.name, roles, messages)


def _no_format(
    table: pl.DataFrame, name: str, kinds: list[FormatKind], given: Mapping[str, str]
) -> DataError:
    """The error of a table without a format: the columns it has, and the one it needs."""

    def there(kind: FormatKind) -> list[str]:
        return [role for role in kind.required if given.get(role, role) in table.columns]

    columns = table.columns
    kind = max(kinds, key=lambda kind: len(there(kind)))
    present = [given.get(role, role) for role in there(kind)]
    missing = [role for role in kind.required if role not in there(kind)]
    free = [column for column in columns if column not in present] or columns
    near = get_close_matches(missing[0], free, n=1, cutoff=0.6)
    conversations = [column for column in free if holds_messages(table[column])]
    needs = f"no column {missing[0]!r} to go with {present[0]!r}" if present else "no known format"
    role = "messages" if conversations and not present else missing[0]
    column = ((role == "messages" and conversations) or near or free)[0]
    return DataError(
        f"{name} has {needs} (its columns are {_listed(columns)}): name the columns "
        f"(for example --columns {role}={column[:_CHARACTERS]}), or use those of a known format: "
        f"{_formats(FORMAT_KINDS)}."
    )


def _formats(kinds: tuple[FormatKind, ...]) -> str:
    return ", ".join("/".join(f"'{role}'" for role in kind.required) for kind in kinds)


def _listed(names: list[str], mark: str = "'") -> str:
    shown = [f"{mark}{name[:_CHARACTERS]}{mark}" for name in names[:_NAMED]]
    if len(names) > _NAMED:
        return f"{', '.join(shown)} and {len(names) - _NAMED} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
