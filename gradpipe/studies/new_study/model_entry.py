"""A model that a user names, as an entry of a study: looked at, not loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradpipe.models.source import is_local_path, resolve_model
from gradpipe.studies.new_study.data_entry import study_path

#: The names of the checkpoints that the Trainer saves.
CHECKPOINTS = "checkpoint-*"


@dataclass(frozen=True)
class ModelChoice:
    """An entry of a study's models: the ``setting`` to write, its ``name``, and what it is."""

    setting: str | dict[str, Any]
    name: str
    origin: str


def find_model_choice(model: str, folder: Path) -> ModelChoice:
    """The entry for a model, or for a folder of checkpoints of a training run.

    ``folder`` is where relative paths of the study start. Of a model on the hub, only the form of
    the name is checked. Raises ModelError if there is no such model.
    """
    if model == "demo":
        return ModelChoice(
            "demo", "demo", "SmolLM2-135M-Instruct, a small model to try things with"
        )
    if not is_local_path(model):
        resolve_model(model)
        return ModelChoice(model, model, "a model of the hub, downloaded by the first run")
    path = Path(model).expanduser()
    identifier = study_path(model, folder)
    if path.is_dir() and not (path / "config.json").exists() and any(path.glob(CHECKPOINTS)):
        setting = {"id": identifier, "checkpoints": CHECKPOINTS}
        return ModelChoice(setting, path.resolve().name, "the checkpoints of a training run")
    source = resolve_model(model)
    name = path.stem if source.kind == "gguf" else path.resolve().name
    origin = "an adapter on its base model" if source.base is not None else "a model of your own"
    return ModelChoice({"id": identifier, "name": name}, name, origin)
