"""What a fused layer's columns are is read off what they do; what cannot be told is refused."""

import copy
from collections.abc import Callable
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from gradpipe.errors import ModelError
from gradpipe.models.layouts import ColumnLayout, OutputColumns
from gradpipe.models.projections import find_projections

WIDTH, HEADS, KV_HEADS, WORDS = 24, 6, 2, 50
HEAD = WIDTH // HEADS
WIDTHS = {"q": HEADS * HEAD, "k": KV_HEADS * HEAD, "v": KV_HEADS * HEAD}
NAMED = {"q": "mixer.mix", "k": "mixer.mix", "v": "mixer.mix", "o": "mixer.out"}

Split = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]


class Attention(nn.Module):
    """Grouped heads whose queries, keys and values come of one layer, as ``split`` cuts it."""

    def __init__(self, split: Split, causal: bool = True) -> None:
        super().__init__()
        self.mix = nn.Linear(WIDTH, sum(WIDTHS.values()))
        self.out = nn.Linear(WIDTH, WIDTH)
        self.drop = nn.Dropout(0.5)
        self.split, self.causal = split, causal

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(-1, (-1, HEAD)).transpose(1, 2) for part in self.split(self.mix(x))
        )
        k, v = (part.repeat_interleave(HEADS // KV_HEADS, dim=1) for part in (k, v))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.drop(self.out(mixed.transpose(1, 2).flatten(2)))


class GatedMLP(nn.Module):
    """Gate and up of one layer; with ``bends`` no half is linear."""

    def __init__(
        self, up_first: bool, activation: Callable[[Tensor], Tensor], bends: bool = False
    ) -> None:
        super().__init__()
        self.both, self.last = nn.Linear(WIDTH, 20), nn.Linear(10, WIDTH)
        self.up_first, self.activation, self.bends = up_first, activation, bends

    def forward(self, x: Tensor) -> Tensor:
        halves = self.both(x).chunk(2, dim=-1)
        up, gate = halves if self.up_first else reversed(halves)
        return self.last(self.activation(gate) * (up.sigmoid() if self.bends else up))


class Decoder(nn.Module):
    """A decoder that belongs to no library."""

    def __init__(self, **mixer: nn.Module) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, WIDTH)
        self.layers = nn.ModuleList(nn.ModuleDict(copy.deepcopy(mixer)) for _ in range(2))
        self.head = nn.Linear(WIDTH, WORDS)
        self.passes = 0

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    def forward(self, input_ids: Tensor, use_cache: bool = True) -> SimpleNamespace:
        self.passes += 1
        x = self.embedding(input_ids)
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleDict)
            for part in layer.values():
                x = x + part(x)
        return SimpleNamespace(logits=self.head(x))


def in_order(order: tuple[str, ...], groups: int) -> Split:
    """Cuts [all] into groups and each group into parts in this order."""

    def split(fused: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        grouped = fused.unflatten(-1, (groups, -1))
        parts = grouped.split([WIDTHS[role] // groups for role in order], dim=-1)
        found = {role: part.flatten(-2) for role, part in zip(order, parts, strict=True)}
        return found["q"], found["k"], found["v"]

    return split


def decoder(split: Split, **settings: Any) -> Decoder:
    torch.manual_seed(0)
    return Decoder(mixer=Attention(split, **settings))


def layout(model: nn.Module, names: tuple[str, ...], named: dict[str, str]) -> ColumnLayout:
    """What is found, which has to be the same in both layers."""
    found = find_projections(model, names, named)
    first, second = ({p.name: p.columns for p in found if p.layer == layer} for layer in (0, 1))
    assert first == second
    return first


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("order", list(permutations("qkv")), ids="".join)
def test_parts_in_any_order_in_any_number_of_groups_are_found(
    order: tuple[str, ...], groups: int
) -> None:
    split = in_order(order, groups)
    found = layout(decoder(split), ("q", "k", "v", "o"), NAMED)
    columns = torch.arange(sum(WIDTHS.values()))
    for role, expected in zip("qkv", split(columns), strict=True):
        assert torch.equal(found[role].take(columns), expected)
    assert found["o"] == OutputColumns()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_precision_does_not_matter(dtype: torch.dtype) -> None:
    exact = layout(decoder(in_order(("k", "q", "v"), 2)).double(), ("q",), NAMED)
    assert layout(decoder(in_order(("k", "q", "v"), 2)).to(dtype), ("q",), NAMED) == exact


def shuffled(fused: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    order = torch.randperm(fused.shape[-1], generator=torch.Generator().manual_seed(1))
    q, k, v = fused[..., order].split([WIDTHS[role] for role in "qkv"], dim=-1)
    return q, k, v


def uneven(fused: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Half of the queries, the keys, the other half, the values."""
    parts = fused.split([HEADS * HEAD // 2, WIDTHS["k"], HEADS * HEAD // 2, WIDTHS["v"]], dim=-1)
    return torch.cat([parts[0], parts[2]], dim=-1), parts[1], parts[3]


@pytest.mark.parametrize("split", [shuffled, uneven])
def test_columns_in_a_layout_like_no_other_are_refused(split: Split) -> None:
    with pytest.raises(ModelError, match=r"layers\.0\.mixer\.mix \(40, 24\) holds q, k, v neither"):
        layout(decoder(split), ("q", "k", "v"), NAMED)


def test_an_attention_that_is_not_causal_is_refused() -> None:
    with pytest.raises(ModelError, match="not part of a causal attention"):
        layout(decoder(in_order(("q", "k", "v"), 1), causal=False), ("q",), NAMED)


def test_layers_that_no_text_passes_are_refused() -> None:
    model = decoder(in_order(("q", "k", "v"), 1))
    for block in model.layers:
        assert isinstance(block, nn.ModuleDict)
        block["idle"] = Attention(in_order(("q", "k", "v"), 1))
        block["idle"].forward = lambda x: x
    idle = {role: path.replace("mixer", "idle") for role, path in NAMED.items()}
    with pytest.raises(ModelError, match=r"idle\.mix .* neither side by side nor group by group"):
        layout(model, ("q",), idle)


def test_roles_that_no_layer_holds_together_are_refused() -> None:
    model = decoder(in_order(("q", "k", "v"), 1))
    with pytest.raises(ModelError, match="mix is named for q and o, which are never in one layer"):
        layout(model, ("q", "o"), {**NAMED, "k": "mixer.out", "o": "mixer.mix", "v": "mixer.out"})


def test_the_model_is_left_as_it_was() -> None:
    model = decoder(in_order(("q", "k", "v"), 2)).train()
    model.layers[1].eval()
    model.head.weight.requires_grad_(False)
    modes = [module.training for module in model.modules()]
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    asking = [weight.requires_grad for weight in model.parameters()]
    state = torch.get_rng_state()
    layout(model, ("q", "k", "v", "o"), NAMED)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()
    assert [module.training for module in model.modules()] == modes
    assert [weight.requires_grad for weight in model.parameters()] == asking
    assert all(weight.grad is None for weight in model.parameters())
    assert all(torch.equal(weights[name], weight) for name, weight in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_it_works_where_gradients_are_switched_off() -> None:
    model = decoder(in_order(("q", "k", "v"), 2))
    with torch.no_grad():
        assert layout(model, ("k",), NAMED)["k"] == OutputColumns(2, 12, 16)
        assert not torch.is_grad_enabled()


def test_alike_layers_cost_two_passes_and_separate_ones_none() -> None:
    model = decoder(in_order(("q", "k", "v"), 1))
    layout(model, ("q", "k", "v", "o"), NAMED)
    assert model.passes == 2
    separate = Decoder(
        mixer=nn.ModuleDict({name: nn.Linear(4, 4) for name in ("wq", "wk", "wv", "wo")})
    )
    find_projections(separate)
    assert separate.passes == 0


GATED = {"gate": "mlp.both", "up": "mlp.both", "down": "mlp.last"}


@pytest.mark.parametrize("activation", [nn.functional.silu, torch.relu, torch.tanh])
@pytest.mark.parametrize("up_first", [True, False])
def test_gate_and_up_are_told_by_what_is_linear(
    up_first: bool, activation: Callable[[Tensor], Tensor]
) -> None:
    torch.manual_seed(0)
    found = layout(Decoder(mlp=GatedMLP(up_first, activation)), ("gate", "up", "down"), GATED)
    first, second = ("up", "gate") if up_first else ("gate", "up")
    assert found == {
        first: OutputColumns(1, 0, 10),
        second: OutputColumns(1, 10, 20),
        "down": OutputColumns(),
    }


def test_two_halves_of_which_none_is_linear_are_refused() -> None:
    torch.manual_seed(0)
    model = Decoder(mlp=GatedMLP(True, torch.relu, bends=True))
    with pytest.raises(ModelError, match="not part of a causal attention or gated MLP"):
        layout(model, ("gate",), GATED)


def test_a_model_whose_weights_are_brought_in_for_each_use_is_probed() -> None:
    from accelerate import cpu_offload

    config = AutoConfig.for_model(
        "falcon",
        vocab_size=WORDS,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        num_kv_heads=KV_HEADS,
        new_decoder_architecture=True,
    )
    model = AutoModelForCausalLM.from_config(config)
    before = layout(model, ("q", "k", "v"), {})
    cpu_offload(model, execution_device=torch.device("cpu"))
    assert model.get_input_embeddings().weight.device.type == "meta"
    assert layout(model, ("q", "k", "v"), {}) == before
    assert before["v"] == OutputColumns(2, 16, 20)
