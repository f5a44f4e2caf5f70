"""Small models of every family against autograd, and the table of them in the documentation."""

import math
from collections.abc import Iterator

import polars as pl
import pytest
import torch

from gradpipe.errors import ModelError
from gradpipe.models.projections import find_gaps, find_projections
from gradpipe.models.roles import ATTENTION, CROSS, LATENT, MIXTURE, MLP
from tests.families.autograd import (
    by_autograd,
    extracted,
    gradients_by_autograd,
    untie,
    worst_error,
)
from tests.families.sweep import BOUNDS, PAGE, Outcome, families, records, rows, run
from tests.families.tiny import make, small_config

GATED = (*ATTENTION, *MLP)
PLAIN = (*ATTENTION, "up", "down")
#: A mixture whose experts have no gate.
UNGATED = ("router", "shared_up", "shared_down")
#: Roles of some families, and the layers without each of them.
CHOSEN: dict[str, tuple[tuple[str, ...], dict[str, list[int]]]] = {
    # Layers without attention.
    "jamba": ((*GATED, "router"), {role: [0, 2] for role in (*ATTENTION, "router")}),
    "qwen3_next": ((*GATED, *MIXTURE), {role: [0, 1, 2] for role in ATTENTION}),
    "granitemoehybrid": ((*GATED, *MIXTURE), {role: [0, 2] for role in ATTENTION}),
    "nemotron_h": (
        (*PLAIN, *UNGATED),
        {role: [0, 1, 3] for role in ATTENTION}
        | {role: [0, 2] for role in PLAIN[4:]}
        | {role: [0, 2, 3] for role in UNGATED},
    ),
    "recurrent_gemma": (GATED, {role: [0, 2] for role in ATTENTION}),
    # One block that several layers use, with adapters of their own.
    "zamba2": ((*ATTENTION, "down"), {role: [0, 2] for role in (*ATTENTION, "down")}),
    # A recurrence whose Q, K and V are one layer.
    "minimax": ((*GATED, "router"), {role: [0, 2] for role in "qkv"}),
    # Layers with the keys and values of another layer.
    "gemma3n_text": (GATED, {"k": [2, 3], "v": [2, 3]}),
    # Latent attention, beside a recurrence and with sinks.
    "deepseek_v3": ((*GATED, *LATENT, *MIXTURE), {role: [0] for role in MIXTURE}),
    "kimi_linear": (
        (*GATED, *LATENT, *MIXTURE),
        {role: [0, 2] for role in LATENT} | {role: [0] for role in MIXTURE},
    ),
    "hy_v4": ((*ATTENTION, *LATENT), {}),
    # Attention sinks.
    "gpt_oss": ((*GATED, "router"), {}),
    # The language part of multimodal models.
    "gemma3": (GATED, {}),
    "qwen2_5_vl": (GATED, {}),
    # An embedding that is changed in place.
    "ctrl": (ATTENTION, {}),
    # Encoder-decoders.
    "t5": ((*PLAIN, *CROSS), {}),
    "bart": ((*PLAIN, *CROSS), {}),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("family", CHOSEN)
def test_what_a_family_has_equals_autograd_and_the_rest_is_a_gap(family: str) -> None:
    roles, gaps = CHOSEN[family]
    model, twin = make(small_config(family)), make(small_config(family))
    found = find_projections(model, roles)
    expected = sorted((layer, role) for role, layers in gaps.items() for layer in layers)
    assert sorted(find_gaps(model, found, roles)) == expected
    assert worst_error(model, twin, rows(), roles) < BOUNDS[torch.float64]


@pytest.mark.parametrize("family", ["zamba2", "deepseek_v3", "gemma3", "t5"])
def test_the_default_dtype_gives_the_norms_of_autograd(family: str) -> None:
    roles, _ = CHOSEN[family]
    model = make(small_config(family), torch.float32)
    twin = make(small_config(family), torch.float32).double()
    untie(twin)
    matrices, losses = extracted(model, rows(), roles)
    for number, row in enumerate(rows()):
        loss, spectra = by_autograd(twin, row, roles)
        assert losses[number] == pytest.approx(loss, rel=1e-5)
        found = matrices.filter(row=number)
        keys = zip(found["layer"], found["projection"], strict=True)
        norms = dict(zip(keys, found["frobenius_norm"], strict=True))
        expected = {key: math.sqrt((values**2).sum()) for key, values in spectra.items()}
        assert norms == pytest.approx(expected, rel=2e-3, abs=1e-6 * max(expected.values()))


@pytest.mark.parametrize("family", ["deepseek_v3", "kimi_linear", "qwen3_next", "t5"])
def test_heads_are_columns_of_the_gradients_of_autograd(family: str) -> None:
    # By their widths alone, the values would have two heads.
    narrow = {"v_head_dim": 2} if family in ("deepseek_v3", "kimi_linear") else {}
    roles = (*ATTENTION, *CROSS) if family == "t5" else ATTENTION
    model = make(small_config(family, **narrow))
    twin, row = make(small_config(family, **narrow)), rows()[0]
    table, _ = extracted(model, [row], roles, heads=True)
    _, expected = gradients_by_autograd(twin, row, roles)
    with_heads = table.drop_nulls("heads")
    assert with_heads.height
    for layer, name, heads in with_heads.select("layer", "projection", "heads").iter_rows():
        whole = expected[layer, name]
        norms = [float(g.norm()) for g in whole.chunk(len(heads), 0 if name[-1] == "o" else 1)]
        assert [head["frobenius_norm"] for head in heads] == pytest.approx(norms, rel=1e-6)
        grouped = family == "qwen3_next" and name in "kv"
        assert len(heads) == (2 if grouped else 4)
    # The heads of a recurrence are not those of the configuration.
    typed = table.filter(pl.col("layer_type") == "linear_attention")
    assert typed["heads"].null_count() == typed.height


@pytest.mark.parametrize("family", ["jamba", "deepseek_v3", "gemma3", "t5", "mllama"])
def test_recomputed_layers_have_the_same_gradients(family: str) -> None:
    roles = CHOSEN[family][0] if family in CHOSEN else GATED
    model, twin = make(small_config(family)), make(small_config(family))
    assert worst_error(model, twin, rows(), roles, checkpointing=True) < BOUNDS[torch.float64]


def test_layers_that_use_the_keys_of_others_are_not_recomputed() -> None:
    model = make(small_config("gemma3n_text"))
    with pytest.raises(ModelError, match="turn gradient checkpointing off"):
        extracted(model, rows(), ATTENTION, checkpointing=True)


def test_a_model_that_asks_for_images_is_refused_in_a_sentence() -> None:
    with pytest.raises(ModelError, match=r"does not run on text alone \(Blip2.*pixel_values"):
        extracted(make(small_config("blip-2")), rows(), ATTENTION)


def test_layers_that_text_does_not_pass_are_gaps() -> None:
    model, twin = make(small_config("mllama")), make(small_config("mllama"))
    # Its layer 3 has a cross-attention to images only.
    assert worst_error(model, twin, rows(), GATED) < BOUNDS[torch.float64]
    matrices, _ = extracted(model, rows(), GATED)
    assert set(matrices["layer"]) == {0, 1, 2}
    assert matrices["gaps"].list.len().to_list() == [len(GATED)] * matrices.height


def test_the_table_has_every_family_and_no_other() -> None:
    listed = [line.split("|")[1].strip() for line in records(PAGE.read_text("utf-8"))]
    assert listed == families()


def test_a_table_row_says_what_is_measured_and_why_the_rest_is_not() -> None:
    gaps = {"q": "2 of 4", "k": "2 of 4"}
    part = Outcome(family="some", roles=("q", "k", "up"), gaps=gaps, missing="gate: unknown")
    expected = "| some | in part | q, k, up | q, k: 2 of 4 layers are gaps; gate: unknown |"
    assert part.record == expected
    assert Outcome(family="some", roles=ATTENTION).verdict == "whole"
    dense = Outcome(family="some", roles=(*GATED, "router"), gaps={"router": "1 of 4"})
    assert dense.verdict == "whole"
    assert Outcome(family="some", missing="q: unknown").verdict == "refused"
    assert Outcome(family="some", untried="no size").verdict == "not tried"


@pytest.mark.slow
def test_the_table_is_what_small_models_of_all_families_show() -> None:
    outcomes = list(run(families()))
    assert [outcome.record for outcome in outcomes] == records(PAGE.read_text("utf-8"))
    errors = {o.family: o.error for o in outcomes if o.error is not None}
    bounds = {o.family: BOUNDS[o.dtype] for o in outcomes if o.error is not None}
    assert {name for name, error in errors.items() if error > bounds[name]} == set()
    assert len(errors) > 200
