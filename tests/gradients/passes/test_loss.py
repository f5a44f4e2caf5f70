"""The loss in blocks behind the decoder is plain cross-entropy, in every family and precision."""

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gradpipe.gradients.passes import loss
from gradpipe.gradients.passes.factors import frozen
from gradpipe.gradients.passes.loss import ROUND_TO, backward_of_losses, predictions
from gradpipe.gradients.tokens import TokenRow
from tests.gradients.conftest import combinations
from tests.gradients.twins import Decoder, Found, assert_close, at_embeddings, in_blocks

MakeModel = Callable[..., Any]
MakeRows = Callable[..., list[TokenRow]]
#: Soft-capping, a scale of the logits, tied weights, a bias of the head, another kind of decoder.
FAMILIES = (
    "llama",
    "llama tied",
    "gemma2",
    "gemma3_text",
    "cohere",
    "granite",
    "phi",
    "gpt2",
    "opt",
    "bloom",
    "mpt",
    "modernbert-decoder",
    "qwen3_moe",
)
#: One token of response, a start of 0 and of 1, and more tokens than a block has.
SHAPES = ((5, 4), (9, 0), (23, 1), (41, 11), (30, 29))


def padded(rows: list[TokenRow]) -> Tensor:
    longest = max(len(row.ids) for row in rows)
    return torch.tensor([row.ids + [0] * (longest - len(row.ids)) for row in rows])


def plain(model: Any, rows: list[TokenRow]) -> Found:
    """Cross-entropy of all logits at once, by autograd."""

    def backward() -> list[float]:
        logits = model(input_ids=padded(rows), use_cache=False).logits.double()
        losses = []
        for of_row, row in zip(logits, rows, strict=True):
            start = max(row.start, 1)
            target = torch.tensor(row.ids[start:])
            predicted = of_row[start - 1 : len(row.ids) - 1]
            losses.append(nn.functional.cross_entropy(predicted, target))
        torch.stack(losses).sum().backward()
        return [each.item() for each in losses]

    return at_embeddings(model, backward)


@pytest.mark.parametrize(("family", "block"), combinations(FAMILIES, [1, 40 * 270, 2**23]))
def test_losses_and_gradients_are_those_of_plain_cross_entropy(
    family: str,
    block: int,
    make_model: MakeModel,
    make_rows: MakeRows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loss, "CPU_BLOCK", block)
    model, rows = make_model(family, torch.float64), make_rows(*SHAPES)
    assert_close(in_blocks(model, rows), plain(model, rows), 1e-10)


@pytest.mark.parametrize("block", [1, 2**23])
def test_a_decoder_of_no_library_gives_the_same(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "CPU_BLOCK", block)
    rows = [TokenRow([3, 9, 4, 7, 5, 3, 8] * 5, 3, False), TokenRow([3, 9], 1, False)]
    model = Decoder().double()
    assert_close(in_blocks(model, rows), plain(model, rows), 1e-10)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 4e-2), (torch.float16, 5e-3)]
)
@pytest.mark.parametrize("family", ["llama", "gemma2", "cohere", "gpt2"])
def test_a_model_of_few_digits_loses_none_in_the_loss(
    family: str,
    dtype: torch.dtype,
    tolerance: float,
    make_model: MakeModel,
    make_rows: MakeRows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loss, "CPU_BLOCK", 1)
    model, rows = make_model(family, dtype), make_rows(*SHAPES)
    found, expected = in_blocks(model, rows), plain(model, rows)
    # The logits are the same: a loss has the digits of float32 behind them.
    assert found[0] == pytest.approx(expected[0], rel=max(1e-6, torch.finfo(dtype).eps))
    assert_close(found, expected, tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_logits_too_large_for_an_exponential_give_finite_losses(dtype: torch.dtype) -> None:
    logits = torch.tensor([[3e4, 0, -3e4], [-3e4, 3e4, 3e4]], dtype=dtype, requires_grad=True)
    wanted = predictions([TokenRow([1, 1, 2], 1, False)])[:2]
    found = loss._backward_of_block(logits, wanted)
    exact = logits.detach().double().requires_grad_()
    expected = nn.functional.cross_entropy(exact, torch.tensor([1, 2]), reduction="none") / 2
    expected.sum().backward()
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-7)
    assert exact.grad is not None
    assert logits.grad is not None
    assert logits.grad.flatten().tolist() == pytest.approx(exact.grad.flatten().tolist(), abs=1e-7)


def test_targets_are_the_response_and_weights_sum_to_one(make_rows: MakeRows) -> None:
    rows = make_rows(*SHAPES)
    wanted = predictions(rows)
    assert len(wanted) % ROUND_TO == 0
    for number, row in enumerate(rows):
        mine = (wanted.row == number) & (wanted.weight > 0)
        start = max(row.start, 1)
        assert wanted.target[mine].tolist() == row.ids[start:]
        assert wanted.position[mine].tolist() == list(range(start - 1, len(row.ids) - 1))
        assert float(wanted.weight[mine].sum()) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("family", [each for each in FAMILIES if each != "modernbert-decoder"])
def test_logits_of_a_whole_batch_are_never_made(
    family: str, make_model: MakeModel, make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "CPU_BLOCK", 1)
    model, rows = make_model(family), make_rows(*SHAPES)
    tokens: list[int] = []
    seen: list[weakref.ref[Tensor]] = []
    alive: list[int] = []

    def count(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        alive.append(sum(each() is not None for each in seen))
        tokens.append(output.numel() // output.shape[-1])
        seen.append(weakref.ref(output))

    hook = model.get_output_embeddings().register_forward_hook(count)
    in_blocks(model, rows)
    hook.remove()
    wanted = len(predictions(rows))
    assert tokens == [1] + [ROUND_TO] * (wanted // ROUND_TO)
    assert wanted > 3 * ROUND_TO
    # Only the block before may wait for its name to be taken by the next.
    assert max(alive) <= 1


class Fails(nn.Module):
    """A head that breaks at its second call."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head, self.calls = head, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == 2:
            raise ZeroDivisionError
        found: Tensor = self.head(x)
        return found


@pytest.mark.parametrize("fails", [True, False])
@pytest.mark.parametrize("own", [True, False])
def test_the_decoder_gets_its_own_forward_back(
    own: bool, fails: bool, make_model: MakeModel, make_rows: MakeRows
) -> None:
    model, rows = make_model("llama"), make_rows(*SHAPES)
    decoder = model.get_decoder()
    expected = in_blocks(model, rows)
    compute = decoder.forward
    calls = []

    def around(*inputs: Any, **settings: Any) -> Any:
        calls.append(inputs)
        return compute(*inputs, **settings)

    if own:
        decoder.forward = around
    if fails:
        model.lm_head = Fails(model.lm_head)
        with pytest.raises(ZeroDivisionError), frozen(model):
            backward_of_losses(model, rows)
    else:
        assert_close(in_blocks(model, rows), expected, 1e-6)
    assert len(calls) == own
    assert vars(decoder).get("forward") is (around if own else None)


def test_a_decoder_that_fails_gets_its_own_forward_back(
    make_model: MakeModel, make_rows: MakeRows
) -> None:
    model = make_model("llama")
    model.model.layers[1] = Fails(model.model.layers[1])
    model.model.layers[1].calls = 1
    with pytest.raises((ZeroDivisionError, TypeError)), frozen(model):
        backward_of_losses(model, make_rows(*SHAPES))
    assert "forward" not in vars(model.get_decoder())
