"""Token rows: examples as token ids, with the positions that carry loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradpipe.conversations.spans import TokenSpan


@dataclass(frozen=True)
class TokenRow:
    """A tokenized example: ``ids`` of prompt and response; the response is ``ids[start:]``.

    ``truncated``: the end was cut off, to fit into the window. ``mask`` has the positions that
    carry loss, ascending, where these are not all of the response. ``spans`` divide the loss: each
    of its positions is in exactly one of them, apart from CONTROL_SPANS, which come last and
    overlap them. ``source`` is what an encoder reads before the decoder reads ``ids``; empty for
    models without an encoder. ``reason`` says why the row is unusable; None for a usable row.
    """

    ids: list[int]
    start: int
    truncated: bool
    reason: str | None = None
    mask: tuple[int, ...] | None = None
    spans: tuple[TokenSpan, ...] = ()
    source: tuple[int, ...] = ()

    @property
    def positions(self) -> Sequence[int]:
        """Positions of the tokens with a loss; nothing predicts the first token of a text."""
        if self.mask is None:
            return range(max(self.start, 1), len(self.ids))
        return [position for position in self.mask if position]

    @property
    def response_tokens(self) -> int:
        """The number of tokens with a loss."""
        return len(self.positions)


def truncation_note(rows: Sequence[TokenRow], window: int) -> str | None:
    """Say how many usable rows were cut to the ``window`` (tokens); None if none was."""
    usable = [row for row in rows if row.reason is None]
    truncated = sum(row.truncated for row in usable)
    return truncation_sentence(truncated, len(usable), window) if truncated else None


def truncation_sentence(truncated: int, usable: int, window: int) -> str:
    """Say how many of the usable rows were cut to the ``window`` (tokens)."""
    return (
        f"The window of {window:,} tokens cuts off the ends of {truncated:,} of {usable:,} "
        "usable rows."
    )


def unusable_row(reason: str | None) -> TokenRow:
    """The row of an example that cannot be tokenized, with the reason."""
    return TokenRow(ids=[], start=0, truncated=False, reason=reason)
