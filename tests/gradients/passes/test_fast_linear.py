"""Faster products for frozen layers give what torch's own give, and leave nothing behind."""

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from gradpipe.gradients.passes import fast_linear
from gradpipe.gradients.passes.factors import frozen
from gradpipe.gradients.passes.fast_linear import faster_linears
from gradpipe.gradients.spectra import matmul
from gradpipe.gradients.tokens import TokenRow
from tests.gradients.conftest import SETTINGS, families
from tests.gradients.twins import assert_close, in_blocks, replaced

MakeModel = Callable[..., Any]
MakeRows = Callable[..., list[TokenRow]]
SHAPES = ((5, 2), (19, 11), (41, 20))

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN"
)


#: The trial itself, which no other test depends on.
TRIAL = fast_linear._onednn_is_faster


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other product, whether this machine gains from it or not."""
    monkeypatch.setattr(fast_linear, "_onednn_is_faster", lambda _modules: True)


@pytest.mark.parametrize("family", families(SETTINGS))
def test_losses_and_gradients_stay_the_same(
    family: str, make_model: MakeModel, make_rows: MakeRows
) -> None:
    model, rows = make_model(family), make_rows(*SHAPES)
    expected = in_blocks(model, rows)
    with frozen(model), faster_linears(model):
        assert replaced(model)
        assert_close(in_blocks(model, rows), expected, 1e-5)
    assert replaced(model) == []


def linear(kind: str, d_in: int, d_out: int) -> nn.Module:
    module: nn.Module
    if kind == "Conv1D":
        module = Conv1D(d_out, d_in)
        nn.init.normal_(module.bias)
    else:
        module = nn.Linear(d_in, d_out, bias=kind == "biased")
    return module.requires_grad_(False)


@pytest.mark.parametrize("parts", [(2**14, 1024), (8, 7), (17, 16), (41, 40)], ids=str)
@pytest.mark.parametrize("kind", ["plain", "biased", "Conv1D"])
def test_long_sums_in_parts_equal_the_whole(
    kind: str, parts: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in zip(("MANY_TERMS", "TERMS_AT_ONCE"), parts, strict=True):
        monkeypatch.setattr(fast_linear, name, value)
    assert_same_products(kind)


@pytest.mark.parametrize("numbers", [1, 50, 500, 1699, 1700])
@pytest.mark.parametrize("kind", ["plain", "biased", "Conv1D"])
def test_large_weights_in_parts_equal_the_whole(
    kind: str, numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_linear, "WEIGHT_AT_ONCE", numbers)
    assert_same_products(kind)


def test_few_rows_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_linear, "SOME_ROWS", 19)
    monkeypatch.setattr(fast_linear, "onednn_linear", None)
    assert_same_products("biased")


@pytest.mark.parametrize("transposed", [False, True])
def test_parts_of_a_weight_lie_together(transposed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_linear, "TERMS_AT_ONCE", 7)
    weight = torch.randn(20, 6).T if transposed else torch.randn(6, 20)
    parts = list(fast_linear._dense_parts(weight))
    assert [part.shape[1] for part in parts] == [7, 7, 6]
    assert all(part.is_contiguous() or part.T.is_contiguous() for part in parts)
    assert torch.equal(torch.cat(parts, 1), weight)


def assert_same_products(kind: str) -> None:
    """A layer [34, 50] forward and backward, 18 rows: as torch has it."""
    torch.manual_seed(0)
    module = linear(kind, 50, 34)
    x = torch.randn(2, 9, 50, requires_grad=True)
    given = torch.randn(2, 9, 34)
    expected = module(x)
    [of_x] = torch.autograd.grad(expected, x, given)
    with faster_linears(module):
        assert replaced(module) == [""]
        found = module(x)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(
            torch.autograd.grad(found, x, given)[0], of_x, rtol=1e-5, atol=1e-5
        )


def test_a_product_of_many_terms_is_as_exact_as_torchs() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(16, 20000), torch.randn(8, 20000)
    exact = functional.linear(x.double(), weight.double())
    error = (fast_linear._onednn_product(x, weight, None) - exact).norm() / exact.norm()
    assert float(error) < 2e-6


def test_forwards_are_put_back_after_an_exception(make_model: MakeModel) -> None:
    model = make_model("llama")

    def fail() -> None:
        with frozen(model), faster_linears(model):
            assert len(replaced(model)) == 3 * 7 + 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert replaced(model) == []


def test_what_is_not_a_frozen_float32_layer_is_left_alone(make_model: MakeModel) -> None:
    class Scaled(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    model = make_model("llama")
    layers = model.model.layers
    with faster_linears(model):
        assert replaced(model) == []
    with frozen(model):
        layers[0].mlp.up_proj.weight.requires_grad_(True)
        layers[1].mlp.up_proj.to(torch.bfloat16)
        layers[2].mlp.up_proj = Scaled(32, 48).requires_grad_(False)
        layers[2].mlp.gate_proj.to("meta")
        own = layers[2].mlp.down_proj.forward
        layers[2].mlp.down_proj.forward = own
        with faster_linears(model):
            names = replaced(model)
            assert layers[2].mlp.down_proj.forward is own
        assert replaced(model) == ["model.layers.2.mlp.down_proj"]
    left = {name for name in names if "mlp" in name}
    rest = {f"model.layers.{n}.mlp.{name}_proj" for n in (0, 1) for name in ("gate", "down")}
    assert left == rest | {"model.layers.2.mlp.down_proj"}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_a_model_of_another_precision_is_left_alone(
    dtype: torch.dtype, make_model: MakeModel
) -> None:
    model = make_model("llama", dtype)
    with frozen(model), faster_linears(model):
        assert replaced(model) == []


def test_where_torchs_own_product_is_faster_it_stays(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_linear, "_onednn_is_faster", lambda _modules: False)
    model = make_model("llama")
    with frozen(model), faster_linears(model):
        assert replaced(model) == []


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_product_that_gives_something_else_is_never_taken(
    family: str, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(range(100))
    # By this clock, each product takes one second; torch's are said to take two.
    monkeypatch.setattr(matmul, "median", lambda taken: next(medians))
    monkeypatch.setattr(matmul.time, "perf_counter", lambda: next(seconds))
    model = make_model(family).requires_grad_(False)
    modules = [module for module in model.modules() if fast_linear._replaceable(module)]
    medians = iter([1.0, 2.0])
    assert TRIAL(modules)
    medians, seconds = iter([1.9, 2.0]), iter(range(100))
    assert not TRIAL(modules)
    product = fast_linear._onednn_product
    monkeypatch.setattr(fast_linear, "_onednn_product", lambda *given: 1.001 * product(*given))
    medians, seconds = iter([1.0, 2.0]), iter(range(100))
    assert not TRIAL(modules)


def test_hooks_on_a_layer_still_see_its_inputs_outputs_and_gradients() -> None:
    module = linear("biased", 6, 4)
    seen: list[Any] = []

    def forward(_module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        seen.extend((inputs[0].shape, output.shape))
        output.register_hook(lambda gradient: seen.append(gradient.shape))

    module.register_forward_hook(forward)
    with faster_linears(module):
        module(torch.ones(3, 6, requires_grad=True)).sum().backward()
    assert seen == [(3, 6), (3, 4), (3, 4)]


def test_a_layer_keeps_no_activation() -> None:
    module = linear("plain", 6, 4)
    start = torch.ones(3, 6, requires_grad=True)
    with faster_linears(module):
        x = start * 2
        kept = weakref.ref(x)
        y = module(x)
        del x
        assert kept() is None
        y.sum().backward()
