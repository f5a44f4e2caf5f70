"""A model of Llama-3.1-8B's whole shape in bfloat16, with random weights, on a CUDA device."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from bench.bare import bare_passes
from bench.data import count_tokens
from bench.layer import build_model, shape_settings
from bench.naive import asking_weights, decompose, take_gradients
from bench.ours import batches_of, our_rows
from bench.settings import Say, Settings
from bench.timing import TIMINGS, Stopwatch
from gradpipe.gradients.tokens import TokenRow

if TYPE_CHECKING:
    from gradpipe.models.load import LoadedModel

SHAPE = "Llama-3.1-8B"
LAYERS = 32
VOCABULARY = 128_256
#: Tokens per row, and the total tokens of the rows of one length.
LENGTHS = (128, 512, 1024)
TOKENS = 16_384


def load_whole() -> LoadedModel:
    """The model with random weights, created on the device."""
    family, settings = shape_settings(SHAPE)
    whole = {
        "vocab_size": VOCABULARY,
        "num_hidden_layers": LAYERS,
        "max_position_embeddings": 2048,
    }
    return build_model(SHAPE, family, settings | whole, "bfloat16", "cuda")


def random_rows(tokens: int, vocabulary: int, count: int) -> list[TokenRow]:
    """Rows of random tokens; the first quarter of each row is the prompt."""
    import torch

    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(vocabulary, (count, tokens), generator=generator)
    return [TokenRow(row, tokens // 4, False) for row in ids.tolist()]


def measure_length(
    loaded: LoadedModel, rows: list[TokenRow], settings: Settings, say: Say
) -> pl.DataFrame:
    """Time rows of one length (TIMINGS); the naive method takes the first row only.

    The naive decompositions are timed for one middle layer and multiplied by the number of layers:
    all of them would take many minutes.
    """
    model, tokens = loaded.model, len(rows[0].ids)
    watch = Stopwatch(f"{tokens} tokens", loaded.device, say)
    batches = batches_of(our_rows(loaded, rows, settings.budget))
    for number in range(1, settings.rounds + 1):
        take = partial(watch.take, number, examples=len(rows), tokens=count_tokens(rows))
        take("ours", partial(our_rows, loaded, rows, settings.budget), batching="its own")
        take("bare", partial(bare_passes, model, rows, batches), batching="as ours")
    with asking_weights(model) as weights:
        layers = 1 + max(layer for layer, _ in weights)
        middle = {place: weight for place, weight in weights.items() if place[0] == layers // 2}
        take_gradients(model, rows[0])
        for weight in weights.values():
            weight.grad = None
        watch.take(1, "naive passes", partial(take_gradients, model, rows[0]), tokens=tokens)
        watch.take(1, "naive spectra", partial(decompose, middle), tokens=tokens)
        watch.records[-1]["seconds"] *= layers
    return watch.timings


def summarize_cuda(timings: pl.DataFrame) -> pl.DataFrame:
    """One row per length: medians over the rounds of seconds per example and of ratios."""
    assert timings.schema == TIMINGS
    per_example = timings.with_columns(per_example=pl.col("seconds") / pl.col("examples"))
    wide = per_example.pivot("method", index=["case", "round"], values="per_example")
    peaks = per_example.group_by("case", maintain_order=True).agg(
        pl.col("examples").max(),
        **{
            f"peak_{method}": pl.col("peak").filter(pl.col("method").str.starts_with(method)).max()
            for method in ("ours", "bare", "naive")
        },
    )
    naive = pl.col("naive passes").first() + pl.col("naive spectra").first()
    return (
        wide.group_by("case", maintain_order=True)
        .agg(
            rounds=pl.len(),
            ours_seconds=pl.col("ours").median(),
            examples_per_second=1 / pl.col("ours").median(),
            same_seconds=pl.col("bare").median(),
            over_same=(pl.col("ours") / pl.col("bare")).median(),
            spectra_share=(1 - pl.col("bare") / pl.col("ours")).median(),
            naive_seconds=naive,
            speedup=naive / pl.col("ours").median(),
        )
        .join(peaks, on="case", maintain_order="left")
        .with_columns(over_naive=pl.col("peak_ours") / pl.col("peak_naive"))
    )
