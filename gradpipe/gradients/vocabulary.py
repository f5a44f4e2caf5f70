"""Rows with tokens that a model has no embedding for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gradpipe.gradients.tokens import TokenRow


def embedding_count(model: Any) -> int:
    """Return the number of a model's input embeddings."""
    return int(model.get_input_embeddings().weight.shape[0])


def beyond_vocabulary(ids: list[int], embeddings: int) -> str | None:
    """Return why token ids cannot be used with that many embeddings; None if they can."""
    largest = max(ids, default=0)
    if largest < embeddings:
        return None
    return (
        f"the token id {largest} is beyond the model's {embeddings} embeddings: the ids are those "
        "of another tokenizer, or tokens were added without resizing the model"
    )


def within_vocabulary(row: TokenRow, embeddings: int) -> TokenRow:
    """Return a row, unusable if it has a token without an embedding.

    Such a token would stop the whole batch.
    """
    reason = None if row.reason is not None else beyond_vocabulary(row.ids, embeddings)
    return row if reason is None else replace(row, reason=reason)
