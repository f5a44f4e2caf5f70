"""Tokenize examples for a model that a user names, without reading its weights."""

from __future__ import annotations

from gradpipe.gradients.encoder import Encoder
from gradpipe.gradients.protocol import Protocol
from gradpipe.models.adapters.base import weights_source
from gradpipe.models.load import config_of, config_window, tokenizer_of
from gradpipe.models.refusals import refuse_adapter, refuse_config
from gradpipe.models.source import ModelSource


def encoder_of_model(model: str, source: ModelSource, protocol: Protocol) -> Encoder:
    """The encoder with the tokenizer and the window of ``model``, whose pinned place is ``source``.

    Raises ModelError for a model that gradpipe cannot measure, or without a tokenizer.
    """
    refuse_adapter(model, weights_source(source))
    config = config_of(source, model)
    refuse_config(model, config)
    return Encoder(tokenizer_of(source, model), protocol, model, config_window(config))
