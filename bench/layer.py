"""One layer at the shapes of models that are too large to run here, with random weights.

It stands for a middle layer of a real model, so all tokens of its row are different and carry loss.
In a first layer, repeated tokens would have the same inputs; in a last layer, most tokens have no
gradient and cost nothing.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from bench.naive import Place, asking_weights, decompose, take_gradients
from bench.ours import largest_difference, our_rows
from bench.settings import Say, Settings
from bench.timing import TIMINGS, Stopwatch
from gradpipe.errors import DataError, nearest
from gradpipe.gradients.tokens import TokenRow

if TYPE_CHECKING:
    from torch import Tensor

    from gradpipe.models.load import LoadedModel

#: By name: the family of each architecture, and the settings of its configuration.
SHAPES: dict[str, tuple[str, dict[str, int]]] = {
    "Qwen2-1.5B": (
        "qwen2",
        {
            "hidden_size": 1536,
            "intermediate_size": 8960,
            "num_attention_heads": 12,
            "num_key_value_heads": 2,
        },
    ),
    "Llama-3.1-8B": (
        "llama",
        {
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
        },
    ),
    "Gemma-2-9B": (
        "gemma2",
        {
            "hidden_size": 3584,
            "intermediate_size": 14336,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 256,
            "query_pre_attn_scalar": 256,
        },
    ),
}
#: Smaller ids are special tokens in some family, such as padding, which is embedded as zero.
FIRST_ID = 8
#: Repetitions per round of the spectra alone, which take milliseconds.
REPEATS = 5


def measure_shape(shape: str, settings: Settings, say: Say) -> pl.DataFrame:
    """Time one shape (TIMINGS): the whole layer, and its spectra alone from the same factors."""
    loaded, row = random_model(shape, settings.tokens), distinct_row(settings.tokens)
    watch = Stopwatch(shape, loaded.device, say)
    factors = layer_factors(loaded.model, row)
    our_rows(loaded, [row], settings.budget)
    our_spectra(factors)
    for number in range(1, settings.rounds + 1):
        take = partial(watch.take, number, tokens=len(row.ids))
        frames = take("ours", partial(our_rows, loaded, [row], settings.budget))
        take(
            "our spectra", lambda: [our_spectra(factors) for _ in range(REPEATS)], examples=REPEATS
        )
        with asking_weights(loaded.model) as weights:
            take("naive passes", partial(take_gradients, loaded.model, row))
            spectra = take("naive spectra", partial(decompose, weights))
        watch.records[-1]["difference"] = largest_difference(frames, {0: spectra})
    return watch.timings


def random_model(shape: str, tokens: int) -> LoadedModel:
    """One layer of the shape with random weights in float32 and a small vocabulary."""
    family, settings = shape_settings(shape)
    few = {"vocab_size": FIRST_ID + tokens, "num_hidden_layers": 1}
    return build_model(shape, family, settings | few)


def shape_settings(shape: str) -> tuple[str, dict[str, int]]:
    """The family of a shape and its settings; raises DataError for an unknown one."""
    if shape not in SHAPES:
        raise DataError(f"There is no shape {shape!r}: {nearest(shape, list(SHAPES))}")
    return SHAPES[shape]


def build_model(
    name: str, family: str, settings: dict[str, int], dtype: str = "float32", device: str = "cpu"
) -> LoadedModel:
    """A model with random weights, created on the device, without a tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from gradpipe.models.load import LoadedModel

    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **settings)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    model.to(device).eval().requires_grad_(False)
    # The bench passes rows of tokens, so nothing is encoded.
    tokenizer: Any = None
    return LoadedModel(name=name, fingerprint="", model=model, tokenizer=tokenizer, device=device)


def distinct_row(tokens: int) -> TokenRow:
    """A row of different tokens in random order; all but the first have a loss."""
    import torch

    generator = torch.Generator().manual_seed(0)
    ids = FIRST_ID + torch.randperm(tokens, generator=generator)
    return TokenRow(ids.tolist(), 1, False)


def layer_factors(model: Any, row: TokenRow) -> dict[str, tuple[Tensor, Tensor]]:
    """X [T, d_in] and D [T, d_out] of the layer's Q, K, V and O, from one naive pass."""
    outputs: dict[str, tuple[Tensor, Tensor]] = {}

    def keep(name: str, _module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        output.retain_grad()
        outputs[name] = inputs[0].detach()[0], output

    attention = model.model.layers[0].self_attn
    hooks = [
        getattr(attention, f"{name}_proj").register_forward_hook(partial(keep, name))
        for name in "qkvo"
    ]
    with asking_weights(model):
        take_gradients(model, row)
    for hook in hooks:
        hook.remove()
    factors = {}
    for name, (x, output) in outputs.items():
        assert output.grad is not None
        factors[name] = x, output.grad[0]
    return factors


def our_spectra(factors: dict[str, tuple[Tensor, Tensor]]) -> dict[Place, Tensor]:
    """gradpipe's singular values from one layer's factors; Q, K and V share X."""
    from gradpipe.gradients.spectra.spectrum import spectra_of_gradients

    values = {}
    for names in ("qkv", "o"):
        x = factors[names[0]][0]
        spectra = spectra_of_gradients(x[None], {name: factors[name][1][None] for name in names})
        for name, spectrum in spectra.items():
            values[0, name] = spectrum.rows()[0].singular_values
    return values


def summarize_layers(timings: pl.DataFrame) -> pl.DataFrame:
    """One row per shape: medians over the rounds of seconds and of ratios."""
    assert timings.schema == TIMINGS
    timings = timings.with_columns(per_example=pl.col("seconds") / pl.col("examples"))
    rounds = timings.pivot("method", index=["case", "round", "tokens"], values="per_example")
    differences = timings.group_by("case").agg(pl.col("difference").max())
    naive = pl.col("naive passes") + pl.col("naive spectra")
    return (
        rounds.group_by("case", maintain_order=True)
        .agg(
            pl.col("tokens").first(),
            rounds=pl.len(),
            ours_seconds=pl.col("ours").median(),
            naive_seconds=naive.median(),
            speedup=(naive / pl.col("ours")).median(),
            our_spectra_seconds=pl.col("our spectra").median(),
            naive_spectra_seconds=pl.col("naive spectra").median(),
            spectra_speedup=(pl.col("naive spectra") / pl.col("our spectra")).median(),
        )
        .join(differences, on="case", maintain_order="left")
    )
