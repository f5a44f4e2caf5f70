"""Norms and gated MLPs in one operation each give what the modules themselves give."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gradpipe.gradients.passes.factors import frozen
from gradpipe.gradients.passes.fused_blocks import fused_blocks
from gradpipe.gradients.passes.memory import saved_bytes
from gradpipe.gradients.tokens import TokenRow
from tests.gradients.conftest import SETTINGS, families
from tests.gradients.twins import assert_close, in_blocks, replaced

MakeModel = Callable[..., Any]
MakeRows = Callable[..., list[TokenRow]]
SHAPES = ((5, 2), (19, 11), (41, 20))
#: Modules that are replaced: by layer, and behind the last one.
NORMS = {"input_layernorm", "post_attention_layernorm"}
WITH_MLP = NORMS | {"mlp"}
REPLACED = {
    "llama": (WITH_MLP, True),
    "llama tied": (WITH_MLP, True),
    "qwen2": (WITH_MLP, True),
    "qwen3": (WITH_MLP | {"self_attn.q_norm", "self_attn.k_norm"}, True),
    "mistral": (WITH_MLP, True),
    "granite": (WITH_MLP, True),
    # Gemma's MLPs have GELU; its norms multiply by one more than their weight.
    "gemma": (NORMS, True),
    "gemma2": (NORMS | {"pre_feedforward_layernorm", "post_feedforward_layernorm"}, True),
    "gemma3_text": (
        NORMS
        | {"pre_feedforward_layernorm", "post_feedforward_layernorm"}
        | {"self_attn.q_norm", "self_attn.k_norm"},
        True,
    ),
    # Gate and up are one layer.
    "phi3": (NORMS, True),
    # Norms that take the mean away.
    "cohere": ({"mlp"}, False),
    "gpt2": (set(), False),
    "gpt_neox": (set(), False),
    "phi": (set(), False),
    "opt": (set(), False),
    "bloom": (set(), False),
}


@pytest.mark.parametrize("family", families(SETTINGS))
def test_losses_and_gradients_stay_the_same(
    family: str, make_model: MakeModel, make_rows: MakeRows
) -> None:
    model, rows = make_model(family), make_rows(*SHAPES)
    expected = in_blocks(model, rows)
    with frozen(model), fused_blocks(model):
        assert_close(in_blocks(model, rows), expected, 1e-5)
    assert replaced(model) == []


@pytest.mark.parametrize("family", REPLACED)
def test_norms_and_gated_mlps_are_known_by_what_they_do(family: str, make_model: MakeModel) -> None:
    model = make_model(family)
    of_layer, last = REPLACED[family]
    with frozen(model), fused_blocks(model):
        names = replaced(model)
    layers = model.config.num_hidden_layers
    expected = {f"model.layers.{n}.{name}" for n in range(layers) for name in of_layer}
    assert set(names) == expected | ({"model.norm"} if last else set())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_a_model_of_another_precision_is_left_alone(
    dtype: torch.dtype, make_model: MakeModel
) -> None:
    model = make_model("llama", dtype)
    with frozen(model), fused_blocks(model):
        assert replaced(model) == []


def test_what_is_not_frozen_here_or_has_a_forward_of_its_own_is_left_alone(
    make_model: MakeModel,
) -> None:
    model = make_model("llama")
    with fused_blocks(model):
        assert replaced(model) == []
    with frozen(model):
        layers = model.model.layers
        layers[0].input_layernorm.weight.requires_grad_(True)
        layers[0].mlp.down_proj.weight.requires_grad_(True)
        layers[1].input_layernorm.to(torch.bfloat16)
        layers[1].mlp.up_proj.to("meta")
        own = layers[2].input_layernorm.forward
        layers[2].input_layernorm.forward = own
        mlp = layers[2].mlp.forward
        layers[2].mlp.forward = lambda x: 2 * mlp(x)
        given = vars(layers[2].mlp)["forward"]
        with fused_blocks(model):
            changed = set(replaced(model))
            assert layers[2].input_layernorm.forward is own
            assert vars(layers[2].mlp)["forward"] is given
    behind = {f"model.layers.{number}.post_attention_layernorm" for number in range(3)}
    others = {"model.layers.2.input_layernorm", "model.layers.2.mlp"}
    assert changed == behind | others | {"model.norm"}
    assert set(replaced(model)) == others


def test_forwards_are_put_back_after_an_exception(make_model: MakeModel) -> None:
    model = make_model("llama")

    def fail() -> None:
        with frozen(model), fused_blocks(model):
            assert len(replaced(model)) == 3 * 3 + 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert replaced(model) == []


class Norm(nn.Module):
    """An RMS norm, with what may be done otherwise."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, 16), requires_grad=False)
        self.eps, self.kind = 1e-3, kind

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True) if self.kind == "centred" else x
        epsilon = 0.1 if self.kind == "another epsilon" else self.eps
        normed = centred * torch.rsqrt(centred.square().mean(-1, keepdim=True) + epsilon)
        gain = self.weight + 1 if self.kind == "one more" else self.weight
        biased = 0.01 if self.kind == "biased" else 0.0
        return gain * normed + biased


@pytest.mark.parametrize(
    ("kind", "same"),
    [
        ("plain", True),
        ("one more", True),
        ("centred", False),
        ("another epsilon", False),
        ("biased", False),
    ],
)
def test_a_norm_is_found_out_by_trial(kind: str, same: bool) -> None:
    norm = Norm(kind)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, 16, generator=generator, requires_grad=True)
    given = torch.randn(2, 5, 16, generator=generator)
    exact = norm.double()(x.double())
    expected = torch.autograd.grad(exact, x, given.double())[0]
    norm.float()
    with fused_blocks(norm):
        assert bool(replaced(norm)) is same
        found = norm(x)
        torch.testing.assert_close(found, exact.float(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(
            torch.autograd.grad(found, x, given)[0], expected, rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e6])
def test_tokens_of_any_size_are_normed_alike(scale: float) -> None:
    norm = Norm("plain")
    x = (scale * torch.linspace(-1, 1, 48).view(3, 16)).requires_grad_()
    expected = norm(x)
    [of_x] = torch.autograd.grad(expected.sum(), x)
    with fused_blocks(norm):
        found = norm(x)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-30)
        # At a large token the gradient is what is left of a difference.
        size = float(norm.weight.max()) / (1e-3 + scale**2 / 3) ** 0.5
        torch.testing.assert_close(
            torch.autograd.grad(found.sum(), x)[0], of_x, rtol=1e-5, atol=1e-6 * size
        )


def kept(module: nn.Module, x: Tensor) -> float:
    """What the backward pass through ``module`` needs, in activations of ``x``'s size."""
    with saved_bytes(module) as found:
        module(x * 1)
    return found.bytes / x.nbytes


def test_less_is_kept_for_the_backward_pass(make_model: MakeModel) -> None:
    with frozen(model := make_model("llama", intermediate_size=32)):
        layer, x = model.model.layers[0], torch.ones(40, 32, requires_grad=True)
        assert kept(layer.mlp, x) == 3
        assert kept(layer.input_layernorm, x) >= 1 + 1 / 32
        with fused_blocks(model):
            assert kept(layer.mlp, x) == 2
            assert kept(layer.input_layernorm, x) == 1 + 1 / 32
