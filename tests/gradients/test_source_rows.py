"""Rows of an encoder-decoder: the encoder reads the prompt, the decoder predicts the response."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gradpipe.conversations.spans import TokenSpan
from gradpipe.gradients.passes.loss import backward_of_losses
from gradpipe.gradients.source_rows import source_rows
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel
from tests.families.tiny import make, small_config


def loaded(model: Any, tokenizer: Any = None) -> LoadedModel:
    return LoadedModel(name="tiny", fingerprint="", model=model, tokenizer=tokenizer, device="cpu")


def encoder_decoder(**settings: Any) -> Any:
    return SimpleNamespace(config=SimpleNamespace(is_encoder_decoder=True, **settings))


def ends_with_seven(_text: str, add_special_tokens: bool) -> dict[str, list[int]]:
    """A tokenizer that appends the token 7."""
    return {"input_ids": [40, 7] if add_special_tokens else [40]}


def test_a_decoder_reads_its_rows_as_they_are() -> None:
    rows = [TokenRow([5, 6, 8], 1, False)]
    model = SimpleNamespace(config=SimpleNamespace(is_encoder_decoder=False))
    assert source_rows(loaded(model), rows) is rows


def test_the_encoder_gets_the_prompt_and_what_the_tokenizer_appends() -> None:
    model = encoder_decoder(decoder_start_token_id=0)
    [row] = source_rows(loaded(model, ends_with_seven), [TokenRow([5, 6, 8, 9], 2, True)])
    assert row == TokenRow([0, 8, 9], 1, True, source=(5, 6, 7))
    assert list(row.positions) == [1, 2]


def test_masks_and_spans_move_with_the_response() -> None:
    spans = (TokenSpan("one", (3,)), TokenSpan("two", (5,)))
    row = TokenRow([5, 6, 8, 9, 10, 11], 2, False, mask=(3, 5), spans=spans)
    [moved] = source_rows(loaded(encoder_decoder(bos_token_id=1)), [row])
    assert moved.ids == [1, 9, 10, 11]
    assert moved.source == (5, 6, 8)
    assert moved.mask == (1, 3)
    assert [span.positions for span in moved.spans] == [(1,), (3,)]
    assert [moved.ids[position] for position in moved.positions] == [9, 11]


def test_a_text_without_a_prompt_is_unusable() -> None:
    rows = [TokenRow([5, 6], 0, False), TokenRow([], 0, False, reason="empty")]
    found = source_rows(loaded(encoder_decoder(pad_token_id=0)), rows)
    assert "the encoder has no prompt to read" in (found[0].reason or "")
    assert found[1] is rows[1]


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_losses_of_a_padded_batch_are_those_of_the_labels(family: str) -> None:
    model = make(small_config(family))
    texts = [([20, 21, 22, 23, 24], [30, 31]), ([25, 26], [32, 33, 34, 35])]
    rows = [TokenRow(prompt + response, len(prompt), False) for prompt, response in texts]
    losses = backward_of_losses(model.requires_grad_(False), source_rows(loaded(model), rows))
    for loss, (prompt, response) in zip(losses, texts, strict=True):
        labels = torch.tensor([response])
        start = torch.tensor([[1, *response[:-1]]])
        expected = model(
            input_ids=torch.tensor([prompt]), decoder_input_ids=start, labels=labels
        ).loss
        assert loss == pytest.approx(expected.item(), rel=1e-6)
