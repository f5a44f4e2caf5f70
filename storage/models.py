"""The growing list of models: adding one to the workspace's study and taking one out."""

from pathlib import Path

from gradpipe.models.fingerprint import pin
from gradpipe.models.source import resolve_model
from gradpipe.studies.load import parse_study, study_yaml
from gradpipe.studies.study import ModelConfig, Study
from storage.workspace import Workspace


def add_model(workspace: Workspace, model: str, revision: str | None = None, name: str = "") -> str:
    """Add a model to the workspace's study; returns what the study calls it.

    Raises GradpipeError for a model that does not exist or that the study has already.
    """
    pin(resolve_model(model, revision))
    study = workspace.study()
    name = name or (f"{model}@{revision}" if revision else model)
    config = ModelConfig(id=_absolute(model), revision=revision, name=name)
    _keep_models(workspace, study, (*study.models, config))
    return config.name


def remove_model(workspace: Workspace, name: str) -> None:
    """Take a model out of the workspace's study; raises StudyError where it is not in it."""
    study = workspace.study()
    gone = study.model(name)
    _keep_models(workspace, study, tuple(model for model in study.models if model != gone))


def _keep_models(workspace: Workspace, study: Study, models: tuple[ModelConfig, ...]) -> None:
    changed = study_yaml(study.model_copy(update={"models": models}))
    workspace.keep_study(parse_study(changed, str(workspace.study_path)))


def _absolute(model: str) -> str:
    """A local path made absolute; ``demo`` is none, even beside a folder of that name."""
    path = Path(model).expanduser()
    return str(path.resolve()) if model != "demo" and path.exists() else model
