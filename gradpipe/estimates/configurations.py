"""Model shapes from the configuration of a model, without its weights."""

from gradpipe.estimates.model_shape import ModelShape, config_shape
from gradpipe.models.load import load_config


def read_shape(model: str, revision: str | None = None) -> ModelShape:
    """The shape of a local folder, a .gguf file or a hub id; raises ModelError."""
    return config_shape(load_config(model, revision), model)
