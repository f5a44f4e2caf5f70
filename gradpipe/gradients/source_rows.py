"""Rows for an encoder-decoder: its encoder reads the prompt, its decoder the response."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gradpipe.gradients.passes.text_call import has_encoder
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel


def source_rows(loaded: LoadedModel, rows: list[TokenRow]) -> list[TokenRow]:
    """Return the rows as the model reads them: unchanged for a model without an encoder.

    Otherwise a row's ``source`` are the tokens before the first one with a loss, followed by the
    special tokens that the tokenizer appends to a text, such as T5's EOS. Its ``ids`` are the
    decoder's start token and the other tokens.
    """
    if not has_encoder(loaded.model):
        return rows
    start = _start_token(loaded.model)
    appended = _appended(loaded.tokenizer)
    return [row if row.reason else _with_source(row, start, appended) for row in rows]


def _with_source(row: TokenRow, start: int, appended: tuple[int, ...]) -> TokenRow:
    first = row.positions[0] if row.response_tokens else 0
    if row.start == 0 or first == 0:
        reason = "the encoder has no prompt to read: use pairs of an instruction and a response"
        return replace(row, reason=reason)

    def shifted(positions: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(position - first + 1 for position in positions if position >= first)

    return replace(
        row,
        ids=[start, *row.ids[first:]],
        start=1,
        mask=None if row.mask is None else shifted(row.mask),
        spans=tuple(replace(span, positions=shifted(span.positions)) for span in row.spans),
        source=(*row.ids[:first], *appended),
    )


def _start_token(model: Any) -> int:
    """The token that a decoder starts with."""
    configs = (model.config, getattr(model, "generation_config", None))
    names = ("decoder_start_token_id", "bos_token_id", "pad_token_id")
    ids = (getattr(config, name, None) for name in names for config in configs)
    return next((number for number in ids if isinstance(number, int)), 0)


def _appended(tokenizer: Any) -> tuple[int, ...]:
    """The special tokens that a tokenizer appends to a text; none without a tokenizer."""
    if tokenizer is None:
        return ()
    plain = list(tokenizer("x", add_special_tokens=False)["input_ids"])
    whole = list(tokenizer("x", add_special_tokens=True)["input_ids"])
    ends = [
        place + len(plain)
        for place in range(len(whole) - len(plain) + 1)
        if plain and whole[place : place + len(plain)] == plain
    ]
    return tuple(whole[ends[0] :]) if ends else ()
