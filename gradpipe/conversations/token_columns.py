"""Examples that are tokens already: ids, and labels or masks that say which of them carry loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradpipe.conversations.cells import RowError, kind_of, parsed
from gradpipe.conversations.examples import TokenIds

#: The label of a token without loss, as PyTorch's cross entropy ignores it.
IGNORED_LABEL = -100
#: Columns of zeros and ones: a token carries loss if all masks that a row has are one there.
LOSS_MASKS = ("completion_mask", "assistant_masks")


def read_token_ids(cells: Mapping[str, Any], columns: Mapping[str, str]) -> TokenIds:
    """One row as token ids; ``cells`` and the names of the ``columns`` are by role.

    Tokens that ``attention_mask`` hides are padding, and are dropped. Labels come before masks;
    without either, all tokens carry loss. Raises RowError for lists of other lengths, negative
    ids, labels that are not the token's own id, and a row without loss.
    """
    lists = {
        role: _whole_numbers(cell, columns[role])
        for role, cell in cells.items()
        if role == "input_ids" or cell is not None
    }
    ids = lists["input_ids"]
    for role, values in lists.items():
        if len(values) != len(ids):
            raise RowError(
                f"the column `{columns[role]}` has {len(values)} entries, and "
                f"`{columns['input_ids']}` has {len(ids)}"
            )
    if min(ids, default=0) < 0:
        raise RowError(f"the column `{columns['input_ids']}` has the negative id {min(ids)}")
    loss = _loss(lists, columns)
    seen = [value != 0 for value in lists.get("attention_mask", [1] * len(ids))]
    kept = TokenIds(
        ids=tuple(one for one, shown in zip(ids, seen, strict=True) if shown),
        loss=tuple(one for one, shown in zip(loss, seen, strict=True) if shown),
    )
    if not any(kept.loss[1:]):
        # Nothing predicts the first token.
        raise RowError("no token carries loss")
    return kept


def _loss(lists: Mapping[str, list[int]], columns: Mapping[str, str]) -> list[bool]:
    ids = lists["input_ids"]
    if (labels := lists.get("labels")) is not None:
        for place, (label, token) in enumerate(zip(labels, ids, strict=True)):
            if label not in (IGNORED_LABEL, token):
                raise RowError(
                    f"entry {place} of `{columns['labels']}` is {label}, neither {IGNORED_LABEL} "
                    f"nor the token's id {token}"
                )
        return [label != IGNORED_LABEL for label in labels]
    masks = [lists[role] for role in LOSS_MASKS if role in lists]
    return [all(mask[place] for mask in masks) for place in range(len(ids))]


def _whole_numbers(cell: Any, column: str) -> list[int]:
    values = parsed(cell)
    if not isinstance(values, (list, tuple)):
        raise RowError(f"the column `{column}` holds {kind_of(values)}, not a list of numbers")
    wrong = next((value for value in values if not isinstance(value, int)), ...)
    if wrong is not ...:
        raise RowError(f"the column `{column}` has {kind_of(wrong)} among its whole numbers")
    return [int(value) for value in values]
