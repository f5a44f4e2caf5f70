"""The questions of ``gradpipe init``, for a person at a terminal; they go to stderr."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gradpipe.errors import DataError, GradpipeError

if TYPE_CHECKING:
    from gradpipe.studies.new_study.data_entry import DataEntry

Choice = TypeVar("Choice")
#: What stands for all items in the answer to the question about the sample.
ALL_ITEMS = "all"


def ask_for_several(question: str, default: str, find: Callable[[str], Choice]) -> list[Choice]:
    """Ask for one thing or more, until an answer is empty.

    An answer that ``find`` refuses is asked for again, with the reason.
    """
    chosen: list[Choice] = []
    while True:
        text = _ask("Another one, or Enter", "") if chosen else _ask(question, default)
        if not text:
            return chosen
        try:
            chosen.append(find(text))
        except GradpipeError as error:
            click.echo(f"  {error}", err=True)


def asking_for_columns(find: Callable[..., DataEntry]) -> Callable[[str], DataEntry]:
    """A function that finds data as ``find`` does, and asks for columns that it does not find."""

    def find_or_ask(data: str) -> DataEntry:
        try:
            return find(data)
        except DataError as error:
            if "column" not in str(error):
                raise
            click.echo(f"  {error}", err=True)
        columns = {"instruction": _ask("  The column of questions", None)}
        while answer := _ask("  A column of responses, as detailed=COLUMN, or Enter", ""):
            style, _, column = answer.partition("=")
            columns[style.strip()] = column.strip()
        return find(data, columns)

    return find_or_ask


def ask_for_text(question: str, default: str = "") -> str:
    """Ask for a text, which may be empty if the default is."""
    return _ask(question, default)


def ask_for_sample(default: int) -> int | None:
    """Ask how many items each benchmark gives; None for all."""
    question = f"Items per benchmark, or {ALL_ITEMS}"
    answer: int = click.prompt(question, default=str(default), value_proc=_items, err=True)
    return answer or None


def _ask(question: str, default: str | None) -> str:
    answer: Any = click.prompt(question, default=default, show_default=bool(default), err=True)
    return str(answer).strip()


def _items(text: str) -> int:
    """The number of items in an answer; 0 for all."""
    text = text.strip().lower()
    if text != ALL_ITEMS and not (text.isdecimal() and int(text)):
        raise click.UsageError(f"{text!r} is not a number of items: write one, or {ALL_ITEMS}.")
    return 0 if text == ALL_ITEMS else int(text)
