"""An entry of a study's list of models: one model, or a series of checkpoints."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Tag

from gradpipe.studies.model_config import ModelConfig
from gradpipe.studies.series_config import SeriesConfig

#: Keys that only a series has.
SERIES_KEYS = {"checkpoints", "revisions"}
#: Parts of the locations of mistakes that are no keys of a study.
ENTRY_TAGS = {"<model>": ModelConfig, "<series>": SeriesConfig}


def _tag(entry: Any) -> str:
    series = isinstance(entry, SeriesConfig) or (
        isinstance(entry, dict) and SERIES_KEYS & entry.keys()
    )
    return "<series>" if series else "<model>"


#: A model, or a series of models.
ModelEntry = Annotated[
    Annotated[ModelConfig, Tag("<model>")] | Annotated[SeriesConfig, Tag("<series>")],
    Discriminator(_tag),
]
