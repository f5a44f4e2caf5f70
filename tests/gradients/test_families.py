"""In every family of decoders, each projection's spectrum is that of its own weights' gradient."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from gradpipe.errors import ModelError
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import Protocol, make_protocol
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel
from gradpipe.standalone.spectra_table import EXTRACT_STATISTICS, spectra_table
from tests.gradients.conftest import families
from tests.gradients.twins import naive

ATTENTION = ("q", "k", "v", "o")
GATED = (*ATTENTION, "gate", "up", "down")
PLAIN = (*ATTENTION, "up", "down")
MLP = ("gate", "up", "down")
FAMILIES = {
    "llama": GATED,
    "llama tied": GATED,
    "qwen2": GATED,
    "qwen3": GATED,
    "gemma": GATED,
    "gemma2": GATED,
    "gemma3_text": GATED,
    "mistral": GATED,
    "olmo2": GATED,
    "cohere": GATED,
    "phi3": GATED,
    "glm4": GATED,
    "modernbert-decoder": GATED,
    "phi": PLAIN,
    "opt": PLAIN,
    "gpt2": PLAIN,
    "gpt_neox": PLAIN,
    "mpt": PLAIN,
    "persimmon": ATTENTION,
    "bloom": ATTENTION,
    "falcon": ATTENTION,
    "falcon by_head": ATTENTION,
    "falcon grouped": ATTENTION,
    "codegen": ATTENTION,
    "gpt_bigcode": ATTENTION,
    "gpt_bigcode by_head": ATTENTION,
    "mixtral": ATTENTION,
    "qwen2_moe": ATTENTION,
    "qwen3_moe": ATTENTION,
    "olmoe": ATTENTION,
    "gpt_oss": ATTENTION,
    # Some or all of their layers are recurrent, with norms that have gates.
    "qwen3_5_text": MLP,
    "qwen3_next": MLP,
    "bamba": MLP,
    "falcon_h1": MLP,
}
#: Something in them is float32 whatever the model's dtype: a softmax, a router, a recurrence.
FLOAT32_INSIDE = re.compile(
    "gemma2|codegen|bloom|mpt|moe|mixtral|oss|deepseek|qwen3_5|qwen3_next|bamba|falcon_h1"
)
LATENT = {
    "q": "self_attn.q_b_proj",
    "k": "self_attn.kv_b_proj",
    "v": "self_attn.kv_b_proj",
    "o": "self_attn.o_proj",
}
SHARED = {name: f"mlp.shared_expert.{name}_proj" for name in ("gate", "up", "down")}


def extract(model: Any, rows: list[TokenRow], protocol: Protocol) -> pl.DataFrame:
    loaded = LoadedModel(name="tiny", fingerprint="", model=model, tokenizer=None, device="cpu")  # type: ignore[arg-type]
    return spectra_table(pl.concat(list(extract_rows(loaded, rows, protocol))))


def assert_equal_to_the_oracle(
    family: str, model: Any, rows: list[TokenRow], names: tuple[str, ...], **settings: Any
) -> None:
    table = extract(model, rows, make_protocol(projections=names, **settings))
    # The table's singular values are float32.
    tolerance = 2e-5 if FLOAT32_INSIDE.search(family) else 2e-7
    for example, row in enumerate(rows):
        loss, expected = naive(model, row, names)
        found = table.filter(pl.col("example") == example)
        assert found.height == len(expected)
        for record in found.iter_rows(named=True):
            values = expected[record["layer"], record["projection"]]
            place = (example, record["layer"], record["projection"])
            assert record["loss"] == pytest.approx(loss, rel=tolerance)
            ours = np.zeros_like(values)
            ours[: len(record["singular_values"])] = record["singular_values"][: len(values)]
            assert np.abs(ours - values).max() <= tolerance * values[0], place
            norm = math.sqrt((values**2).sum())
            assert record["frobenius_norm"] == pytest.approx(norm, rel=tolerance), place


@pytest.mark.parametrize("family", families(FAMILIES))
def test_every_projection_of_every_layer_equals_full_autograd_in_one_padded_batch(
    family: str, make_model: Callable[..., Any], make_rows: Callable[..., list[TokenRow]]
) -> None:
    rows = make_rows((6, 2), (33, 20), (14, 13), (21, 1), seed=len(family))
    model = make_model(family, torch.float64)
    assert_equal_to_the_oracle(family, model, rows, FAMILIES[family])


@pytest.mark.parametrize("family", families(FAMILIES))
def test_the_default_dtype_gives_the_norms_of_full_autograd(
    family: str, make_model: Callable[..., Any], make_rows: Callable[..., list[TokenRow]]
) -> None:
    rows, names = make_rows((33, 20), (14, 13), seed=len(family)), FAMILIES[family]
    model = make_model(family)
    table = extract(model, rows, make_protocol(projections=names))
    for example, row in enumerate(rows):
        loss, expected = naive(model.double(), row, names)
        found = table.filter(pl.col("example") == example)
        norms = [math.sqrt((values**2).sum()) for values in expected.values()]
        assert found["loss"].to_list() == pytest.approx([loss] * len(norms), rel=1e-5)
        assert found["frobenius_norm"].to_list() == pytest.approx(norms, rel=1e-4)


@pytest.mark.parametrize("family", ["deepseek_v2", "deepseek_v3"])
def test_a_latent_attention_is_taken_by_the_layers_that_are_named(
    family: str, make_model: Callable[..., Any], make_rows: Callable[..., list[TokenRow]]
) -> None:
    model, rows = make_model(family, torch.float64), make_rows((7, 3), (30, 12), (13, 1))
    assert_equal_to_the_oracle(family, model, rows, ATTENTION, layer_names=LATENT)


def test_an_expert_that_every_token_passes_is_taken_where_it_is_named(
    make_model: Callable[..., Any], make_rows: Callable[..., list[TokenRow]]
) -> None:
    model, rows = make_model("qwen2_moe", torch.float64), make_rows((7, 3), (30, 12), (13, 1))
    names = ("q", "gate", "up", "down")
    assert_equal_to_the_oracle("qwen2_moe", model, rows, names, layer_names=SHARED)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("family", ["falcon grouped", "gpt_neox", "phi3", "gpt2", "codegen"])
def test_a_fused_layer_is_taken_apart_in_every_precision(
    family: str,
    dtype: torch.dtype,
    make_model: Callable[..., Any],
    make_rows: Callable[..., list[TokenRow]],
) -> None:
    rows = make_rows((12, 6), (30, 1), (7, 2))
    found = extract(make_model(family, dtype), rows, make_protocol())
    exact = extract(make_model(family, dtype).double(), rows, make_protocol())
    assert found.height == 3 * 2 * 4
    eps = torch.finfo(dtype).eps
    for name in set(EXTRACT_STATISTICS) - {"effective_rank"}:
        np.testing.assert_allclose(found[name], exact[name], rtol=30 * eps + 1e-5)


def test_the_layers_of_a_model_with_a_gate_are_told_from_one_without(
    make_model: Callable[..., Any], make_rows: Callable[..., list[TokenRow]]
) -> None:
    gated = make_protocol(projections=("gate", "up", "down"))
    with pytest.raises(ModelError, match=r"without a gate \(mlp\.c_fc, mlp\.c_proj\)"):
        extract(make_model("gpt2"), make_rows((7, 3)), gated)
    found = extract(make_model("llama"), make_rows((7, 3)), gated)
    assert found["projection"].to_list() == ["gate", "up", "down"] * 3
