"""Backward passes of spans: each span's share of a response's gradient, from one forward pass.

A response's loss is a mean over its N tokens; a span's share of it is 1/N times the sum of its own
tokens' losses. The shares of a response's spans sum to its loss, and so do their gradients. At the
decoder's output, a token's loss has a gradient at the token that predicts it and nowhere else, so
each pass starts from the response's gradient there, with zeros outside of one span per row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gradpipe.conversations.spans import TokenSpan
from gradpipe.gradients.passes.loss import ForwardPass
from gradpipe.gradients.passes.memory import trim_heap
from gradpipe.gradients.spectra.routing import Routing
from gradpipe.gradients.spectra.sink import SpectraSink
from gradpipe.gradients.spectra.spectrum import Spectrum
from gradpipe.gradients.spectra.workers import SpectraPool
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.projections import Projection

#: Passes after which freed memory is returned to the system. With checkpointing, each pass would
#: otherwise leave some 50 MB of fragments for 200 tokens of a 135M model; a trim takes a twentieth
#: of a pass.
PASSES_PER_TRIM = 2


@dataclass(frozen=True)
class SpanGradients:
    """One span of a row: its number of ``tokens``, their mean ``loss``, and the spectra.

    The spectra are those of the span's share of the gradient of the row's loss.
    """

    name: str
    tokens: int
    loss: float
    spectra: dict[tuple[int, str], Spectrum]

    @property
    def fault(self) -> str | None:
        """What is wrong with one of the gradients, or None."""
        faults = (spectrum.fault for spectrum in self.spectra.values())
        return next((fault for fault in faults if fault), None)


class CurrentSink:
    """Passes the factors of each backward pass on to the sink of that pass."""

    def __init__(self) -> None:
        self.sink: SpectraSink | None = None

    def __call__(self, projection: Projection, x: Tensor, d: Tensor, *routing: Routing) -> None:
        """Receive one projection's X and D, as ``SpectraSink`` does."""
        assert self.sink is not None
        self.sink(projection, x, d, *routing)


def count_passes(rows: list[TokenRow]) -> int:
    """The number of backward passes of a batch: one for the responses, and one per span."""
    return 1 + max(len(_parts(row)) for row in rows)


def _parts(row: TokenRow) -> list[TokenSpan]:
    """The spans of a row that need a pass: all but whole responses."""
    return [span for span in row.spans if len(span.positions) < row.response_tokens]


def gradients_of_spans(
    forward: ForwardPass,
    rows: list[TokenRow],
    projections: list[Projection],
    pool: SpectraPool,
    current: CurrentSink,
) -> list[tuple[SpanGradients, ...]]:
    """Return the gradients of spans that are part of a response; keeps ``forward``'s graph.

    Pass k is that of the k-th such span of every row that has one. ``current`` receives the factors
    of the passes. Spans are neither compared nor sketched.
    """
    spans: list[tuple[SpanGradients, ...]] = [() for _ in rows]
    token_losses = forward.token_losses.cpu()
    for number in range(count_passes(rows) - 1):
        members = [place for place, row in enumerate(rows) if len(_parts(row)) > number]
        divided = [_parts(rows[place])[number] for place in members]
        # Behind its last predicting token, a span has no gradient, but the encoder's tokens have.
        lengths = [
            max(span.positions[-1], len(rows[place].source))
            for place, span in zip(members, divided, strict=True)
        ]
        sink = SpectraSink(lengths, projections, replace(pool, sketcher=None), members)
        current.sink = sink
        if number % PASSES_PER_TRIM == PASSES_PER_TRIM - 1:
            trim_heap()
        try:
            gradient = _inside(forward.gradient, members, divided)
            forward.hidden.backward(gradient, retain_graph=True)
            spectra = sink.finish()
        except BaseException:
            sink.abandon()
            raise
        for place, span, span_spectra in zip(members, divided, spectra, strict=True):
            share = float(token_losses[place, _predicting(span)].sum())
            tokens = len(span.positions)
            loss = share * rows[place].response_tokens / tokens
            spans[place] += (SpanGradients(span.name, tokens, loss, span_spectra),)
    return spans


def with_whole_spans(
    row: TokenRow,
    parts: tuple[SpanGradients, ...],
    loss: float,
    spectra: dict[tuple[int, str], Spectrum],
) -> tuple[SpanGradients, ...]:
    """Complete a row's spans, in their order, by whole responses.

    These have the row's own ``loss`` and ``spectra``.
    """
    tokens = row.response_tokens
    whole = (span.name for span in row.spans if len(span.positions) == tokens)
    found = {part.name: part for part in parts}
    found |= {name: SpanGradients(name, tokens, loss, spectra) for name in whole}
    return tuple(found[span.name] for span in row.spans if span.name in found)


def _inside(gradient: Tensor, members: list[int], spans: list[TokenSpan]) -> Tensor:
    """Return [rows, T, width] with zeros for all that no token of the members' spans predicts."""
    inside = torch.zeros(gradient.shape[:2], dtype=torch.bool)
    for place, span in zip(members, spans, strict=True):
        inside[place, _predicting(span)] = True
    # Not a product: zero times infinity would be NaN.
    return torch.where(inside.to(gradient.device)[:, :, None], gradient, 0.0)


def _predicting(span: TokenSpan) -> list[int]:
    """The positions of the tokens that predict a span's tokens."""
    return [position - 1 for position in span.positions]
