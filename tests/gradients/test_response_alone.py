"""The loss of a response without its instruction is that of transformers for the same tokens."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from gradpipe.gradients import response_alone as module
from gradpipe.gradients.response_alone import forward_losses, response_alone
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel

ROW = TokenRow([1, 40, 41, 42, 50, 51, 52], start=4, truncated=False)


class Marks:
    """A tokenizer's two marks."""

    def __init__(self, bos: int | None = 1, eos: int | None = 2) -> None:
        self.bos_token_id, self.eos_token_id = bos, eos


def loss_of(model: Any, ids: list[int], start: int) -> float:
    """In float64: transformers' own loss is in float32."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0, start - 1 : -1]
    return float(torch.nn.functional.cross_entropy(logits, torch.tensor(ids[start:])))


def test_the_responses_tokens_follow_the_mark_of_a_beginning_text() -> None:
    assert response_alone(ROW, Marks()).ids == [1, 50, 51, 52]
    assert response_alone(ROW, Marks(bos=None)).ids == [2, 50, 51, 52]
    assert response_alone(ROW, Marks()).response_tokens == ROW.response_tokens == 3


def test_without_a_mark_the_first_token_has_no_loss() -> None:
    alone = response_alone(ROW, Marks(None, None))
    assert (alone.ids, alone.response_tokens, alone.reason) == ([50, 51, 52], 2, None)
    single = TokenRow([1, 40, 50], start=2, truncated=False)
    assert response_alone(single, Marks(None, None)).reason
    assert response_alone(single, Marks()).reason is None


def test_what_follows_the_response_without_loss_is_left_out() -> None:
    row = TokenRow([1, 40, 50, 51, 9], start=2, truncated=False, mask=(2, 3))
    assert response_alone(row, Marks()).ids == [1, 50, 51]


@pytest.mark.parametrize(
    "row",
    [
        TokenRow([1, 40, 50, 41, 51], start=2, truncated=False, mask=(2, 4)),
        TokenRow([1, 50, 51], start=1, truncated=False),
        TokenRow([50, 51], start=0, truncated=False),
        TokenRow([1], start=0, truncated=False, reason="the response is empty"),
    ],
    ids=["two responses", "no prompt", "no prompt and no mark", "unusable"],
)
def test_a_row_that_is_not_one_response_to_a_prompt_has_a_reason(row: TokenRow) -> None:
    assert response_alone(row, Marks()).reason


def test_losses_are_those_of_transformers_in_every_batch_size(
    make_model: Callable[..., Any], make_rows: Callable[..., list[TokenRow]]
) -> None:
    model = make_model("llama", dtype=torch.float64)
    rows = [*make_rows((9, 4), (5, 1), (17, 3), (17, 16)), TokenRow([], 0, False, "no")]
    loaded = LoadedModel(name="", fingerprint="", model=model, tokenizer=None, device="cpu")
    expected = [*(loss_of(model, row.ids, row.start) for row in rows[:-1]), None]
    for budget in (None, 1, 34):
        with torch.inference_mode():
            found = forward_losses(loaded, rows, budget)
        assert found == [value and pytest.approx(value, rel=1e-9) for value in expected]
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_batch_that_does_not_fit_is_halved(
    make_model: Callable[..., Any],
    make_rows: Callable[..., list[TokenRow]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, rows = make_model("llama"), make_rows((9, 4), (9, 4), (9, 4), (12, 4))
    loaded = LoadedModel(name="", fingerprint="", model=model, tokenizer=None, device="cpu")
    expected = forward_losses(loaded, rows)
    whole, sizes = module._losses, []

    def small(model: Any, batch: list[TokenRow]) -> list[float]:
        sizes.append(len(batch))
        if len(batch) > 1 or len(batch[0].ids) > 9:
            raise torch.OutOfMemoryError
        return whole(model, batch)

    monkeypatch.setattr(module, "_losses", small)
    found = forward_losses(loaded, rows, 1000)
    assert found[3] is None
    assert found[:3] == [pytest.approx(value, rel=1e-5) for value in expected[:3]]
    assert max(sizes) > 1
