"""The extraction loop: pairs in, one row of spectra a pair out, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from gradpipe.errors import ModelError
from gradpipe.gradients.alignment import SAME_LAYER
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.sketches import kept_sketch
from gradpipe.gradients.tokens import Encoder, TokenRow

if TYPE_CHECKING:
    from gradpipe.gradients.passes import RowGradients
    from gradpipe.models.load import LoadedModel
    from gradpipe.models.projections import Projection

#: Part of every row's key: a change here takes every gradient again. Raise it when numbers change,
#: or when there are more of them: 2 brought the cosines and the sketches.
EXTRACTOR_VERSION = "2"

#: One row a gradient. ``next_layer_cosine`` is that with the same projection of the layer above,
#: ``sketch`` as ``sketches.kept_sketch`` has it: its cosine with another row's is, nearly, that of
#: both gradients. Both are null where the gradient is zero, the cosine where there is no other.
MATRIX = pl.Struct(
    {
        "layer": pl.Int64,
        "projection": pl.String,
        "frobenius_norm": pl.Float64,
        "singular_values": pl.List(pl.Float32),
        "next_layer_cosine": pl.Float32,
        "sketch": pl.List(pl.Float16),
    }
)
#: One row a layer: the cosines inside it (see ``alignment.SAME_LAYER``), null where a gradient is
#: zero or missing, or both have not equally many entries.
LAYER = pl.Struct({"layer": pl.Int64, **{f"{pair}_cosine": pl.Float32 for pair in SAME_LAYER}})
#: One row a pair. ``row`` is its position in the list given; ``reason`` says why it cannot be used
#: (then ``matrices`` and ``layers`` are empty and ``loss`` may be null); ``seconds`` its share of
#: its batch's time on ``hardware``.
ROW_SCHEMA = pl.Schema(
    {
        "row": pl.Int64(),
        "loss": pl.Float64(),
        "tokens": pl.Int64(),
        "response_tokens": pl.Int64(),
        "truncated": pl.Boolean(),
        "reason": pl.String(),
        "seconds": pl.Float64(),
        "hardware": pl.String(),
        "matrices": pl.List(MATRIX),
        "layers": pl.List(LAYER),
    }
)


@dataclass(frozen=True)
class Progress:
    """How far an extraction is: rows and tokens done, of how many."""

    rows: int
    tokens: int
    all_rows: int
    all_tokens: int


def extract_rows(
    loaded: LoadedModel,
    rows: list[TokenRow],
    protocol: Protocol,
    report: Callable[[Progress], None] = lambda _: None,
    budget: int | None = None,
    *,
    aligned: bool = True,
) -> Iterator[pl.DataFrame]:
    """Spectra of every row, as frames of ROW_SCHEMA, one a batch, unusable rows first.

    A row that cannot be used comes out with its reason; nothing is left out. ``budget`` limits the
    padded tokens of a batch; None: what the free memory allows. Without ``aligned``, cosines and
    sketches are left out, as null.
    """
    from gradpipe.gradients.loop import BatchLoop
    from gradpipe.models.hardware import device_name

    projections = _projections(loaded, protocol)
    all_tokens = sum(len(row.ids) for row in rows if row.reason is None)
    unusable = [number for number, row in enumerate(rows) if row.reason is not None]
    hardware = device_name(loaded.device)
    if unusable:
        yield _frame(hardware, [_unusable(number, rows[number]) for number in unusable])
    done, tokens = len(unusable), 0
    report(Progress(done, tokens, len(rows), all_tokens))
    batches = BatchLoop(loaded, projections, rows, budget, aligned=aligned)
    for through in batches.run():
        numbers = through.batch.rows
        seconds = through.seconds / len(numbers)
        if through.gradients is None:
            yield _frame(
                hardware,
                [_too_large(number, rows[number], seconds, batches.twice) for number in numbers],
            )
        else:
            yield _frame(
                hardware,
                [
                    _record(number, rows[number], gradient, seconds)
                    for number, gradient in zip(numbers, through.gradients, strict=True)
                ],
            )
        done += len(numbers)
        tokens += sum(len(rows[number].ids) for number in numbers)
        report(Progress(done, tokens, len(rows), all_tokens))


def _projections(loaded: LoadedModel, protocol: Protocol) -> list[Projection]:
    """The model's projections; raises ModelError, which names a weight where that is to blame."""
    from gradpipe.gradients.faults import broken_weight
    from gradpipe.models.projections import find_projections

    try:
        return find_projections(loaded.model, protocol.projections, protocol.layer_names.paths)
    except ModelError as error:
        # Columns of a fused layer are told apart by passes through it.
        broken = broken_weight(loaded.model)
        if broken is None:
            raise
        raise ModelError(
            f"The projections of {loaded.name or 'this model'} cannot be told apart, since "
            f"{broken}: download it again, or use a wider dtype."
        ) from error


def _too_large(number: int, row: TokenRow, seconds: float, twice: bool) -> dict[str, Any]:
    cure = "" if twice else "gradient checkpointing or "
    reason = (
        f"the row's {len(row.ids)} tokens do not fit in memory, not even alone: use {cure}a device "
        "with more of it"
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
    }


def _record(number: int, row: TokenRow, gradients: RowGradients, seconds: float) -> dict[str, Any]:
    fault = gradients.fault
    return {
        **_unusable(number, row),
        "loss": gradients.loss,
        "reason": gradients.reason,
        "seconds": seconds,
        "matrices": [] if fault else _matrices(gradients),
        "layers": [] if fault else _layers(gradients),
    }


def _matrices(gradients: RowGradients) -> list[dict[str, Any]]:
    """A usable row's gradients, as MATRIX."""
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
        }
        for (layer, name), spectrum in sorted(gradients.spectra.items())
    ]


def _layers(gradients: RowGradients) -> list[dict[str, Any]]:
    """A usable row's layers, as LAYER."""
    norms, found = gradients.norms, gradients.alignment.same_layer
    return [
        {
            "layer": layer,
            **{
                f"{pair}_cosine": _cosine(
                    found.get((layer, pair)), norms.get((layer, left)), norms.get((layer, right))
                )
                for pair, (left, right) in SAME_LAYER.items()
            },
        }
        for layer in sorted({layer for layer, _ in norms})
    ]


def _cosine(product: float | None, one: float | None, other: float | None) -> float | None:
    """⟨G, G'⟩ / (‖G‖ ‖G'‖); None where a gradient is zero or there is nothing to compare."""
    return product / one / other if product is not None and one and other else None


def _frame(hardware: str, records: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame([{**record, "hardware": hardware} for record in records], schema=ROW_SCHEMA)


def explode_matrices(rows: pl.LazyFrame) -> pl.LazyFrame:
    """One row a (pair, layer, projection): the usable rows of a ROW_SCHEMA frame, unnested.

    ``layers``, which has rows of its own (``explode_layers``), is left out.
    """
    usable = rows.filter(pl.col("reason").is_null()).drop("layers", strict=False)
    return usable.explode("matrices").unnest("matrices")


def explode_layers(rows: pl.LazyFrame) -> pl.LazyFrame:
    """One row a (pair, layer) with the cosines inside it: of the usable rows of such a frame.

    What names the pair stays (``row`` or ``key``), and nothing else.
    """
    names = pl.selectors.by_name("row", "key", "layers", require_all=False)
    usable = rows.filter(pl.col("reason").is_null()).select(names)
    return usable.explode("layers").unnest("layers")


def extract_spectra(
    model: Any,
    tokenizer: Any,
    examples: Sequence[Mapping[str, Any] | tuple[str, str]],
    protocol: Protocol | str = "standard",
    *,
    name: str = "",
    checkpointing: bool = False,
) -> pl.DataFrame:
    """Gradient spectra of (instruction, response) pairs, for notebooks.

    ``model`` is a causal language model of the transformers library, ``examples`` a list of pairs
    or of mappings with ``instruction``, optional ``input`` and ``output``. Returns one row a usable
    (example, layer, projection), with the statistics and the singular values; examples that cannot
    be used are absent here, ``extract_rows`` gives their reasons. ``checkpointing`` computes each
    layer's activations twice rather than keep them all. Raises DataError or ModelError.
    """
    from gradpipe.gradients.pairs import to_pair
    from gradpipe.gradients.protocol import make_protocol
    from gradpipe.gradients.table import spectra_table
    from gradpipe.models.load import LoadedModel, model_window
    from gradpipe.models.placement import input_device
    from gradpipe.models.refusals import refuse_model

    refuse_model(name, model)
    chosen = make_protocol(protocol) if isinstance(protocol, str) else protocol
    loaded = LoadedModel(name, "", model, tokenizer, str(input_device(model)), checkpointing)
    encoder = Encoder(tokenizer, chosen, name, model_window(model))
    pairs = [to_pair(example, number) for number, example in enumerate(examples)]
    frames = list(extract_rows(loaded, encoder.encode_all(pairs), chosen))
    return spectra_table(pl.concat(frames) if frames else pl.DataFrame(schema=ROW_SCHEMA))
