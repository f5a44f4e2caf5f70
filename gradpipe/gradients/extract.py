"""Extract gradient spectra: token rows in, one row of spectra per token row out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import torch

from gradpipe.errors import ModelError
from gradpipe.gradients.loop import BatchLoop
from gradpipe.gradients.passes.nonfinite import broken_weight
from gradpipe.gradients.passes.run_batch import RowGradients
from gradpipe.gradients.passes.span_passes import SpanGradients
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.rows import ROW_SCHEMA, Progress
from gradpipe.gradients.source_rows import source_rows
from gradpipe.gradients.spectra.comparisons import SAME_LAYER
from gradpipe.gradients.spectra.sketches import kept_sketch
from gradpipe.gradients.spectra.spectrum import HeadPart
from gradpipe.gradients.tokens import TokenRow
from gradpipe.gradients.vocabulary import embedding_count, within_vocabulary
from gradpipe.models.adapters.factors import adapter_factors
from gradpipe.models.adapters.wrappers import without_shell
from gradpipe.models.devices import device_name
from gradpipe.models.load import LoadedModel
from gradpipe.models.projections import Projection, find_gaps, find_projections

#: The type of each (layer, projection) in a model of mixed layers, or None.
LayerTypes = Mapping[tuple[int, str], str | None]


# A notebook may call this inside torch.no_grad() or torch.inference_mode(). As decorators of a
# generator, these apply while it runs, not between two frames.
@torch.inference_mode(False)
@torch.enable_grad()
def extract_rows(
    loaded: LoadedModel,
    rows: list[TokenRow],
    protocol: Protocol,
    report: Callable[[Progress], None] = lambda _: None,
    budget: int | None = None,
    *,
    aligned: bool = True,
    sketched: bool = True,
) -> Iterator[pl.DataFrame]:
    """Yield one frame of ROW_SCHEMA per batch, after one frame of the unusable rows.

    Every row is yielded once; unusable rows have a ``reason``. ``budget`` limits the padded tokens
    per batch; None means as many as fit in the free memory. Without ``aligned``, cosines and
    sketches are null; without ``sketched``, sketches are.
    """
    loaded = replace(loaded, model=without_shell(loaded.model))
    projections = _projections(loaded, protocol)
    types = {(p.layer, p.name): p.layer_type for p in projections}
    embeddings = embedding_count(loaded.model)
    rows = [within_vocabulary(row, embeddings) for row in rows]
    inputs = source_rows(loaded, rows)
    rows = [replace(row, reason=read.reason) for row, read in zip(rows, inputs, strict=True)]
    all_tokens = sum(len(row.ids) for row in rows if row.reason is None)
    unusable = [number for number, row in enumerate(rows) if row.reason is not None]
    hardware = device_name(loaded.device)
    if unusable:
        yield _frame(hardware, [_unusable(number, rows[number]) for number in unusable])
    done, tokens = len(unusable), 0
    report(Progress(rows=done, tokens=tokens, all_rows=len(rows), all_tokens=all_tokens))
    batches = BatchLoop(loaded, projections, inputs, budget, aligned=aligned, sketched=sketched)
    measured, gaps = projections, find_gaps(loaded.model, projections, protocol.projections)
    for finished in batches.run():
        numbers = finished.batch.rows
        seconds = finished.seconds / len(numbers)
        if finished.gradients is None:
            yield _frame(
                hardware,
                [_too_large(number, rows[number], seconds, batches.twice) for number in numbers],
            )
        else:
            if measured is not batches.projections:
                # The first batch may show that text does not pass some of them.
                measured = batches.projections
                gaps = find_gaps(loaded.model, measured, protocol.projections)
            yield _frame(
                hardware,
                [
                    _record(number, rows[number], gradient, seconds, types, gaps=gaps)
                    for number, gradient in zip(numbers, finished.gradients, strict=True)
                ],
            )
        done += len(numbers)
        tokens += sum(len(rows[number].ids) for number in numbers)
        report(Progress(rows=done, tokens=tokens, all_rows=len(rows), all_tokens=all_tokens))


def _projections(loaded: LoadedModel, protocol: Protocol) -> list[Projection]:
    """Return the model's projections; raise ModelError, with any non-finite weight named."""
    try:
        found = find_projections(
            loaded.model,
            protocol.projections,
            protocol.layer_names.paths,
            heads=protocol.heads,
        )
    except ModelError as error:
        # Non-finite weights make the columns of a fused layer indistinguishable.
        broken = broken_weight(loaded.model)
        if broken is None:
            raise
        raise ModelError(
            f"The projections of {loaded.name or 'this model'} cannot be distinguished, since "
            f"{broken}: download it again, or use a wider dtype."
        ) from error
    return adapter_factors(loaded.name, found) if loaded.adapter == "factors" else found


def _too_large(number: int, row: TokenRow, seconds: float, twice: bool) -> dict[str, Any]:
    cure = "" if twice else "gradient checkpointing or "
    reason = (
        f"the row's {len(row.ids)} tokens do not fit in memory, even in a batch of one row: use "
        f"{cure}a device with more memory"
    )
    return {**_unusable(number, row), "reason": reason, "seconds": seconds}


def _unusable(number: int, row: TokenRow) -> dict[str, Any]:
    return {
        "row": number,
        "loss": None,
        "tokens": len(row.ids),
        "response_tokens": row.response_tokens,
        "truncated": row.truncated,
        "reason": row.reason,
        "seconds": 0.0,
        "matrices": [],
        "layers": [],
        "spans": [],
        "gaps": None,
        "token_losses": None,
    }


def _record(
    number: int,
    row: TokenRow,
    gradients: RowGradients,
    seconds: float,
    types: LayerTypes,
    *,
    gaps: list[tuple[int, str]],
) -> dict[str, Any]:
    fault = gradients.fault
    missing = [{"layer": layer, "projection": name} for layer, name in gaps]
    return {
        **_unusable(number, row),
        "loss": gradients.loss,
        "reason": gradients.reason,
        "seconds": seconds,
        "matrices": [] if fault else _matrices(gradients, types),
        "layers": [] if fault else _layers(gradients),
        "spans": [] if fault else [_span(span, types) for span in gradients.spans],
        "gaps": None if fault else missing,
        "token_losses": None if fault else _token_losses(gradients),
    }


def _token_losses(gradients: RowGradients) -> np.ndarray | None:
    """The losses of a row's tokens."""
    losses = gradients.token_losses
    return None if losses is None else losses.numpy()


def _matrices(gradients: RowGradients, types: LayerTypes) -> list[dict[str, Any]]:
    """The gradients of a usable row, as MATRIX."""
    norms, alignment = gradients.norms, gradients.alignment
    return [
        {
            "layer": layer,
            "projection": name,
            "frobenius_norm": norms[layer, name],
            "singular_values": spectrum.singular_values.float().cpu().numpy(),
            "next_layer_cosine": _cosine(
                alignment.next_layer.get((layer, name)),
                norms[layer, name],
                norms.get((layer + 1, name)),
            ),
            "sketch": kept_sketch(alignment.sketches.get((layer, name)), norms[layer, name]),
            "token_norms": spectrum.tokens.norms,
            "token_energy": spectrum.tokens.energy,
            "layer_type": types[layer, name],
            "experts": spectrum.experts and [part._asdict() for part in spectrum.experts],
            "heads": spectrum.heads and [_head(part) for part in spectrum.heads],
        }
        for (layer, name), spectrum in sorted(gradients.spectra.items(), key=lambda entry: entry[0])
    ]


def _head(part: HeadPart) -> dict[str, Any]:
    """One attention head's part of a gradient, as HEAD."""
    values = part.singular_values.float().cpu().numpy()
    return {**part._asdict(), "singular_values": values}


def _layers(gradients: RowGradients) -> list[dict[str, Any]]:
    """The layers of a usable row, as LAYER."""
    norms, products = gradients.norms, gradients.alignment.same_layer
    return [
        {
            "layer": layer,
            **{
                f"{pair}_cosine": _cosine(
                    products.get((layer, pair)), norms.get((layer, left)), norms.get((layer, right))
                )
                for pair, (left, right) in SAME_LAYER.items()
            },
        }
        for layer in sorted({layer for layer, _ in norms})
    ]


def _span(span: SpanGradients, types: LayerTypes) -> dict[str, Any]:
    """A span of a usable row, as SPAN."""
    spectra = {} if span.fault else span.spectra
    matrices = [
        {
            "layer": layer,
            "projection": name,
            "frobenius_norm": spectrum.squared_norm**0.5,
            "singular_values": spectrum.singular_values.float().cpu().numpy(),
            "token_norms": spectrum.tokens.norms,
            "token_energy": spectrum.tokens.energy,
            "layer_type": types[layer, name],
        }
        for (layer, name), spectrum in sorted(spectra.items(), key=lambda entry: entry[0])
    ]
    return {"name": span.name, "tokens": span.tokens, "loss": span.loss, "matrices": matrices}


def _cosine(product: float | None, one: float | None, other: float | None) -> float | None:
    """Return ⟨G, G'⟩ / (‖G‖ ‖G'‖), or None if a gradient is zero or missing."""
    return product / one / other if product is not None and one and other else None


def _frame(hardware: str, records: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame([{**record, "hardware": hardware} for record in records], schema=ROW_SCHEMA)
