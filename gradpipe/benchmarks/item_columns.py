"""Which columns of a table hold an item's input, gold answer and rationale."""

from __future__ import annotations

from collections.abc import Collection

from gradpipe.benchmarks.settings import ColumnNames

#: Texts of an item whose columns are found by these names if the user names no others.
_BY_NAME = ("input", "answer", "rationale")


def item_columns(
    present: Collection[str], columns: ColumnNames, responses: Collection[str]
) -> dict[str, str]:
    """The columns of an item's ``input``, ``answer`` and ``rationale``, as far as it has them.

    Columns that the user named count whether they are ``present`` or not. ``responses`` are the
    columns of responses.
    """
    withheld = withheld_roles(columns, responses)
    found = {role: getattr(columns, role) for role in _BY_NAME}
    return {
        role: named or role
        for role, named in found.items()
        if named is not None or (role in present and role not in withheld)
    }


def withheld_roles(columns: ColumnNames, responses: Collection[str]) -> list[str]:
    """The roles whose default column has another role: questions in ``input`` are not inputs too.

    Where a table has a column per style, a response may be the gold answer or rationale too.
    """
    long = columns.style is not None
    named = [columns.instruction, *(getattr(columns, role) for role in _BY_NAME)]
    alone = {*named, *((columns.style, *columns.roles().values()) if long else ())}
    taken = {"input": {*alone, *responses}, "answer": alone, "rationale": alone}
    return [r for r, others in taken.items() if getattr(columns, r) is None and r in others]
