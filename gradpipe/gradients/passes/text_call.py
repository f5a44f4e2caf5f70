"""Call a model on decoder tokens; an encoder-decoder reads the prompts with its encoder first."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gradpipe.errors import ModelError
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.devices import input_device

#: What models say that ask for images or other inputs.
_ASKS_FOR_MORE = re.compile(r"missing \d+ required|(to|must) specify|not-None|pixel_values")


def has_encoder(model: Any) -> bool:
    """Return whether a model is an encoder-decoder."""
    return bool(getattr(getattr(model, "config", None), "is_encoder_decoder", False))


def decoder_embedding(model: Any) -> nn.Module:
    """Return the embedding of the tokens that the decoder reads."""
    if not has_encoder(model):
        embedding: nn.Module = model.get_input_embeddings()
        return embedding
    decoder = model.get_decoder()
    named = getattr(decoder, "embed_tokens", None)
    return named if isinstance(named, nn.Module) else decoder.get_input_embeddings()


def text_call(model: Any, rows: list[TokenRow]) -> Callable[[Tensor], Any]:
    """Return a function from decoder token ids [rows, T] to the model's outputs.

    An encoder runs once, here, without a graph: gradients reach its output, which keys and values
    of cross-attention read, and no further. Padding of prompts is masked.
    """
    if not has_encoder(model):
        return partial(_on_text, lambda ids: model(input_ids=ids, use_cache=False))
    device = input_device(model)
    length = source_length(rows)
    ids = torch.tensor(
        [[*row.source, *row.source[-1:] * (length - len(row.source))] for row in rows],
        device=device,
    )
    lengths = torch.tensor([len(row.source) for row in rows], device=device)
    mask = (torch.arange(length, device=device) < lengths[:, None]).long()
    with torch.no_grad():
        outputs = model.get_encoder()(input_ids=ids, attention_mask=mask)
    # The other outputs, such as those of routers, stay.
    outputs["last_hidden_state"] = outputs.last_hidden_state.detach().requires_grad_(True)
    return lambda decoder_ids: model(
        decoder_input_ids=decoder_ids,
        encoder_outputs=outputs,
        attention_mask=mask,
        use_cache=False,
    )


def _on_text(call: Callable[[Tensor], Any], ids: Tensor) -> Any:
    """Call a model; raise ModelError if it asks for more than text."""
    try:
        return call(ids)
    except (TypeError, ValueError) as error:
        if not _ASKS_FOR_MORE.search(str(error)):
            raise
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise ModelError(
            f"The model does not run on text alone ({reason}): use a model that does."
        ) from error


def source_length(rows: list[TokenRow]) -> int:
    """Return the number of tokens of the longest prompt that an encoder reads."""
    return max(len(row.source) for row in rows)
