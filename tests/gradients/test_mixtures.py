"""In every family of mixtures, the spectra of experts and routers are those of full autograd."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from accelerate import cpu_offload
from torch import nn

from gradpipe.conversations.spans import TokenSpan
from gradpipe.errors import ModelError
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.passes import expert_factors
from gradpipe.gradients.protocol import make_protocol
from gradpipe.gradients.rows import explode_matrices
from gradpipe.gradients.spectra.inner_products import Gradient
from gradpipe.gradients.spectra.sketches import STEPS, Sketcher, kept_sketch
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel
from gradpipe.models.projections import find_projections
from gradpipe.standalone.part_tables import expert_table
from gradpipe.standalone.spectra_table import spectra_table
from gradpipe.statistics.curves import curves
from tests.gradients.conftest import EXPERTS, LLAMA_LIKE, assert_same_gradients
from tests.gradients.mixture_twins import MIXTURES, make_mixture, twin_of
from tests.gradients.twins import replaced

ROUTED = ("router", "gate", "up", "down")
SHARED = ("shared_gate", "shared_up", "shared_down")
SHAPES = ((6, 2), (33, 20), (14, 13), (30, 1))
#: Families in the default run; the others differ in names only.
KINDS = (
    *("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "deepseek_v2", "deepseek_v3", "gpt_oss"),
    *("granitemoeshared", "phimoe", "llama4_text", "dbrx", "jetmoe"),
)
#: Models that compute their routers in float32, whatever their dtype, are not exact in float64.
TOLERANCE = 2e-5


def roles_of(family: str) -> tuple[str, ...]:
    return (*ROUTED, *SHARED) if MIXTURES[family].shared else ROUTED


def extract(model: Any, rows: list[TokenRow], names: tuple[str, ...], **settings: Any) -> Any:
    loaded = LoadedModel(name="tiny", fingerprint="", model=model, tokenizer=None, device="cpu")  # type: ignore[arg-type]
    protocol = make_protocol(projections=names, **settings)
    return pl.concat(list(extract_rows(loaded, rows, protocol)))


def matrices(model: Any, rows: list[TokenRow], names: tuple[str, ...], **settings: Any) -> Any:
    return explode_matrices(extract(model, rows, names, **settings).lazy()).collect()


def families() -> list[Any]:
    return [
        family if family in KINDS else pytest.param(family, marks=pytest.mark.slow)
        for family in MIXTURES
    ]


@pytest.mark.parametrize("family", families())
def test_the_gradient_of_all_experts_together_equals_autograd_on_the_fused_tensors(
    family: str, make_rows: Callable[..., list[TokenRow]]
) -> None:
    model, rows = make_mixture(family), make_rows(*SHAPES, seed=len(family))
    table = matrices(model, rows, roles_of(family))
    assert not replaced(model)
    for number, row in enumerate(rows):
        twin = twin_of(family, model, row)
        found = table.filter(row=number)
        assert found.height == len(twin.gradients)
        for record in found.iter_rows(named=True):
            place = record["layer"], record["projection"]
            parts = [torch.linalg.svdvals(part).numpy() for part in twin.gradients[place]]
            every = np.sort(np.concatenate(parts))[::-1]
            ours = np.zeros_like(every)
            ours[: len(record["singular_values"])] = record["singular_values"][: len(every)]
            assert np.abs(ours - every).max() <= TOLERANCE * every[0], place
            norm = math.sqrt(sum(float((part**2).sum()) for part in parts))
            assert record["frobenius_norm"] == pytest.approx(norm, rel=TOLERANCE), place
            assert record["loss"] == pytest.approx(twin.loss, rel=TOLERANCE)
            routed = place[0] in twin.tokens and place[1] in ("gate", "up", "down")
            if not routed:
                assert record["experts"] is None
                continue
            reached = [n for n, tokens in enumerate(twin.tokens[place[0]]) if tokens]
            assert [part["expert"] for part in record["experts"]] == reached
            for part in record["experts"]:
                values = parts[part["expert"]]
                assert part["tokens"] == twin.tokens[place[0]][part["expert"]]
                near = pytest.approx(values.sum(), rel=1e-4, abs=TOLERANCE * every[0])
                assert part["nuclear_norm"] == near
                near = pytest.approx(np.linalg.norm(values), rel=1e-4, abs=TOLERANCE * every[0])
                assert part["frobenius_norm"] == near
                if values.sum() > TOLERANCE * every[0]:
                    shares = values[values > 0] / values.sum()
                    rank = math.exp(-(shares * np.log(shares)).sum())
                    assert part["effective_rank"] == pytest.approx(rank, rel=1e-3)


@pytest.mark.parametrize("family", ["mixtral", "gpt_oss", "llama4_text", "granitemoeshared"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_default_implementation_of_experts_gives_the_norms_of_the_slow_one(
    family: str, dtype: torch.dtype, make_rows: Callable[..., list[TokenRow]]
) -> None:
    model, rows = make_mixture(family, dtype), make_rows((33, 20), (14, 13), seed=3)
    found = matrices(model, rows, ROUTED)
    exact = matrices(make_mixture(family), rows, ROUTED)
    # A router decides otherwise only if two experts are as good.
    tolerance = 1e-4 if dtype == torch.float32 else 0.3
    near = found.filter(layer=0)["frobenius_norm"].to_list()
    assert near == pytest.approx(exact.filter(layer=0)["frobenius_norm"].to_list(), rel=tolerance)


@pytest.mark.parametrize("family", ["qwen2_moe", "llama4_text", "jetmoe"])
def test_a_row_in_a_batch_equals_the_row_alone_and_with_layers_run_twice(
    family: str, make_rows: Callable[..., list[TokenRow]]
) -> None:
    model, rows = make_mixture(family), make_rows((33, 20), (30, 7), (31, 30))
    together = extract(model, rows, roles_of(family))
    loaded = LoadedModel(
        name="tiny",
        fingerprint="",
        model=model,
        tokenizer=None,  # type: ignore[arg-type]
        device="cpu",
        checkpointing=True,
    )
    protocol = make_protocol(projections=roles_of(family))
    twice = pl.concat(list(extract_rows(loaded, rows, protocol)))
    alone = [extract(model, [row], roles_of(family)) for row in rows]
    expected = pl.concat([f.with_columns(row=pl.lit(n, pl.Int64)) for n, f in enumerate(alone)])
    for found in (together, twice):
        frames = [explode_matrices(f.lazy()).drop("seconds").collect() for f in (found, expected)]
        parts = [f.sort("row", "layer", "projection") for f in frames]
        assert_same_gradients(*(f.drop("experts") for f in parts), rel=1e-6)
        experts = [f.explode("experts").unnest("experts", separator="_") for f in parts]
        pl.testing.assert_frame_equal(
            *(f.select(pl.selectors.starts_with("experts_")) for f in experts), abs_tol=1e-6
        )


def test_offloaded_experts_are_loaded_for_their_passes(
    make_rows: Callable[..., list[TokenRow]],
) -> None:
    rows = make_rows((33, 20), (30, 7))
    model = make_mixture("mixtral", torch.float32)
    expected = matrices(model, rows, ROUTED).sort("row", "layer", "projection")
    cpu_offload(model, execution_device="cpu")
    assert model.model.layers[0].mlp.experts.down_proj.device.type == "meta"
    found = matrices(model, rows, ROUTED).sort("row", "layer", "projection")
    near = pytest.approx(expected["frobenius_norm"].to_list(), rel=1e-5)
    assert found["frobenius_norm"].to_list() == near


def test_layers_without_a_router_are_gaps_in_its_curve(
    make_rows: Callable[..., list[TokenRow]],
) -> None:
    model = make_mixture("deepseek_v3", num_hidden_layers=4)
    table = spectra_table(extract(model, make_rows((33, 20), (30, 7)), roles_of("deepseek_v3")))
    found = curves(table).filter(statistic="nuclear_norm")
    for role, layers in {"router": [1, 2, 3], "shared_up": [1, 2, 3], "up": [0, 1, 2, 3]}.items():
        assert found.filter(projection=role)["layer"].to_list() == layers


def test_the_sketch_of_experts_is_that_of_the_fused_gradient(
    make_rows: Callable[..., list[TokenRow]],
) -> None:
    # Four experts of 64 outputs are wider than a sketch's side.
    model = make_mixture("mixtral", intermediate_size=64)
    (row,) = make_rows((33, 20))
    table, twin = matrices(model, [row], ("gate", "down")), twin_of("mixtral", model, row)
    for record in table.iter_rows(named=True):
        whole = torch.cat(twin.gradients[record["layer"], record["projection"]])
        gradient = Gradient(tuple(whole.shape), None, None, whole[None])  # type: ignore[arg-type]
        sketch = Sketcher().sketches({"": gradient})[""][0].numpy()
        expected = kept_sketch(sketch, float(whole.norm()))
        assert expected is not None
        assert np.abs(np.array(record["sketch"]) - expected.astype(float)).max() <= 1.001 / STEPS


def test_experts_are_compared_without_sketches(
    make_rows: Callable[..., list[TokenRow]],
) -> None:
    model, rows = make_mixture("mixtral", num_hidden_layers=3), make_rows((33, 20), (30, 4))
    names = ("gate", "down", "q")
    loaded = LoadedModel(name="tiny", fingerprint="", model=model, tokenizer=None, device="cpu")  # type: ignore[arg-type]
    protocol = make_protocol(projections=names)
    bare, full = (
        explode_matrices(
            pl.concat(extract_rows(loaded, rows, protocol, sketched=sketched)).lazy()
        ).collect()
        for sketched in (False, True)
    )
    assert bare["sketch"].is_null().all()
    assert full["sketch"].null_count() == 0
    assert bare["next_layer_cosine"].drop_nulls().len() == 2 * 2 * len(names)
    assert bare["next_layer_cosine"].equals(full["next_layer_cosine"])


def test_experts_are_compared_with_the_same_experts_one_layer_above(
    make_rows: Callable[..., list[TokenRow]],
) -> None:
    model, rows = make_mixture("mixtral", num_hidden_layers=3), make_rows((33, 20), (30, 4))
    table = matrices(model, rows, ROUTED)
    for number, row in enumerate(rows):
        twin = twin_of("mixtral", model, row)
        for name in ("gate", "up", "down", "router"):
            found = table.filter(row=number, projection=name).sort("layer")["next_layer_cosine"]
            whole = [torch.cat(twin.gradients[layer, name]).flatten() for layer in range(3)]
            for layer in range(2):
                cosine = torch.nn.functional.cosine_similarity(*whole[layer : layer + 2], dim=0)
                assert found[layer] == pytest.approx(float(cosine), abs=1e-5)
            assert found[2] is None


def test_the_tokens_of_experts_have_the_sizes_of_their_own_gradients(
    make_rows: Callable[..., list[TokenRow]],
) -> None:
    # One hidden token at a time: the gradient of the first layer's experts at this token alone.
    model, (row,) = make_mixture("mixtral", num_hidden_layers=1), make_rows((12, 4))
    record = matrices(model, [row], ("up",)).row(0, named=True)
    model.config._experts_implementation = "eager"
    seen: dict[str, Any] = {}

    def keep(_module: nn.Module, inputs: Any) -> Any:
        seen["inputs"] = inputs
        return None

    def cut(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        seen["output"] = output
        output.retain_grad()

    experts = model.model.layers[0].mlp.experts
    hooks = [experts.register_forward_pre_hook(keep), experts.register_forward_hook(cut)]
    positions = torch.tensor(row.positions)
    logits = model(input_ids=torch.tensor([row.ids])).logits[0]
    targets = torch.tensor(row.ids)[positions]
    nn.functional.cross_entropy(logits[positions - 1], targets).backward()
    for hook in hooks:
        hook.remove()
    norms = []
    for token in range(len(row.ids)):
        model.zero_grad()
        output = experts(*(part[token : token + 1].detach() for part in seen["inputs"]))
        output.backward(seen["output"].grad[token : token + 1])
        norms.append(float(experts.gate_up_proj.grad[:, 48:].norm()))
    assert record["token_norms"] == pytest.approx(sum(norms), rel=1e-9)
    assert record["token_energy"] == pytest.approx(sum(n * n for n in norms), rel=1e-9)


def test_spans_of_a_response_have_the_gradients_of_experts(
    make_rows: Callable[..., list[TokenRow]],
) -> None:
    model, (row,) = make_mixture("mixtral"), make_rows((20, 8))
    thinking, answer = tuple(range(8, 13)), tuple(range(13, 20))
    parts = (TokenSpan("thinking", thinking), TokenSpan("answer", answer))
    row = TokenRow(row.ids, row.start, False, spans=parts)
    frame = extract(model, [row], ("up", "down"))
    (spans,) = frame["spans"].to_list()
    assert [len(span["matrices"]) for span in spans] == [4, 4]
    positions = torch.tensor(row.positions)
    model.config._experts_implementation = "eager"
    for span in spans:
        model.zero_grad()
        model.requires_grad_(True)
        logits = model(input_ids=torch.tensor([row.ids])).logits[0]
        losses = nn.functional.cross_entropy(
            logits[positions - 1], torch.tensor(row.ids)[positions], reduction="none"
        )
        inside = torch.tensor([(p < 13) == (span["name"] == "thinking") for p in row.positions])
        (losses * inside).mean().backward()
        for record in span["matrices"]:
            experts = model.model.layers[record["layer"]].mlp.experts
            whole = experts.down_proj if record["projection"] == "down" else experts.gate_up_proj
            grad = whole.grad if record["projection"] == "down" else whole.grad[:, 48:]
            assert record["frobenius_norm"] == pytest.approx(float(grad.norm()), rel=1e-5)


def test_a_table_of_experts_adds_up_to_the_gradients(
    make_rows: Callable[..., list[TokenRow]],
) -> None:
    rows = make_rows((6, 2), (33, 20), seed=5)
    table = spectra_table(extract(make_mixture("qwen3_moe"), rows, ("q", *ROUTED)))
    experts = expert_table(table)
    assert set(experts["projection"]) == {"gate", "up", "down"}
    place = ["example", "layer", "projection"]
    sums = experts.group_by(place).agg(
        pl.col("nuclear_norm").sum(),
        pl.col("frobenius_norm").pow(2).sum().sqrt(),
        pl.col("tokens").sum() / 2,
    )
    both = table.join(sums, on=place, suffix="_sum")
    assert both.height == sums.height == 2 * 2 * 3
    for name in ("nuclear_norm", "frobenius_norm", "tokens"):
        np.testing.assert_allclose(both[f"{name}_sum"], both[name], rtol=1e-6)


def test_experts_without_a_gate_have_up_and_down(
    make_rows: Callable[..., list[TokenRow]],
) -> None:
    heads = {"mamba_num_heads": 4, "mamba_head_dim": 16, "ssm_state_size": 8, "n_groups": 1}
    settings = {"layers_block_type": ["moe"] * 2, "n_routed_experts": 4, "n_group": 1, **heads}
    model = make_mixture(
        "nemotron_h",
        **(LLAMA_LIKE | EXPERTS | settings),
        topk_group=1,
        moe_shared_expert_intermediate_size=24,
    )
    names = ("router", "up", "down", "shared_up", "shared_down")
    (row,) = make_rows((20, 5))
    table = matrices(model, [row], names)
    model.config._experts_implementation = "eager"
    positions = torch.tensor(row.positions)
    logits = model(input_ids=torch.tensor([row.ids]), use_cache=False).logits[0]
    targets = torch.tensor(row.ids)[positions]
    nn.functional.cross_entropy(logits[positions - 1], targets).backward()
    for layer, block in enumerate(model.model.layers):
        mixer = block.mixer
        weights = (mixer.gate.weight, mixer.experts.up_proj, mixer.experts.down_proj)
        weights += (mixer.shared_experts.up_proj.weight, mixer.shared_experts.down_proj.weight)
        for name, weight in zip(names, weights, strict=True):
            found = table.filter(layer=layer, projection=name)["frobenius_norm"].item()
            assert found == pytest.approx(float(weight.grad.norm()), rel=1e-6)
    with pytest.raises(ModelError, match="experts without a gate"):
        find_projections(model, ("gate", "up"))


def test_experts_that_compute_something_else_are_refused(
    make_rows: Callable[..., list[TokenRow]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_mixture("mixtral")
    kind = type(model.model.layers[0].mlp.experts)
    own = kind.forward.__wrapped__  # type: ignore[attr-defined]
    monkeypatch.setattr(kind, "forward", lambda self, *inputs: 1.001 * own(self, *inputs))
    with pytest.raises(ModelError, match="does not compute what its weights say"):
        extract(model, make_rows((12, 3)), ("gate",))
    assert not replaced(model)
    # The router alone needs none of it.
    assert extract(model, make_rows((12, 3)), ("router",))["reason"].to_list() == [None]


def test_listed_experts_are_refused_and_a_dense_model_has_no_router(
    make_model: Callable[..., Any],
) -> None:
    model = make_model("mixtral")
    for layer in model.model.layers:
        layer.mlp.experts = nn.ModuleList(nn.Sequential(nn.Linear(32, 32)) for _ in range(3))
    with pytest.raises(ModelError, match="not fused tensors in a layout that gradpipe knows"):
        find_projections(model, ("q", "gate"))
    with pytest.raises(ModelError, match=re.escape("No layer of this model has router")):
        find_projections(make_model("llama"), ("q", "router"))
    with pytest.raises(ModelError, match="shared_gate or shared_up"):
        find_projections(make_mixture("mixtral"), ("router", "shared_gate", "shared_up"))


def test_a_router_that_computes_no_single_product_is_refused(
    make_rows: Callable[..., list[TokenRow]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_mixture("mixtral")
    kind = type(model.model.layers[0].mlp.gate)
    own = kind.forward
    monkeypatch.setattr(kind, "forward", lambda self, x: (own(self, x), own(self, x))[0])
    with pytest.raises(ModelError, match="2 products with its weight"):
        extract(model, make_rows((12, 3)), ("router",))


def test_each_module_of_experts_is_compared_once(
    make_rows: Callable[..., list[TokenRow]], monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    own = expert_factors._Forward._compare

    def compare(self: Any, *inputs: Any) -> None:
        compared.append(self.experts.module)
        own(self, *inputs)

    monkeypatch.setattr(expert_factors._Forward, "_compare", compare)
    model = make_mixture("mixtral")
    extract(model, make_rows((12, 3), (40, 30)), ("gate", "up"))
    assert compared == [layer.mlp.experts for layer in model.model.layers]
