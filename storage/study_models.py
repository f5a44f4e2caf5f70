"""Add and remove the models and series of a workspace's study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gradpipe.checkpoints.checkpoint import StepRecord, step_model_name
from gradpipe.errors import StudyError, nearest
from gradpipe.models.fingerprint import pin
from gradpipe.models.source import AdapterReading, resolve_model
from gradpipe.models.tokenizer_files import resolve_tokenizer
from gradpipe.studies.load import parse_study, study_yaml
from gradpipe.studies.model_config import ModelConfig
from gradpipe.studies.series import series_of
from gradpipe.studies.series_config import SeriesConfig
from gradpipe.studies.study import Study
from storage.series_steps import list_checkpoints
from storage.workspace import Workspace


def add_model(
    workspace: Workspace,
    model: str,
    revision: str | None = None,
    name: str = "",
    *,
    tokenizer: str | None = None,
    adapter: AdapterReading = "merged",
) -> str:
    """Add a model to the workspace's study; return its name in the study.

    ``tokenizer`` replaces the model's own, ``adapter`` is what is measured of an adapter. Raises
    GradpipeError if the model or the tokenizer does not exist, or if the study has the model.
    """
    pin(resolve_model(model, revision, adapter=adapter))
    if tokenizer is not None:
        pin(resolve_tokenizer(tokenizer))
    name = name or (f"{model}@{revision}" if revision else model)
    config = ModelConfig(
        id=_absolute(model),
        revision=revision,
        name=name,
        tokenizer=None if tokenizer is None else _absolute(tokenizer),
        adapter=adapter,
    )
    _add(workspace, config)
    return config.name


def add_series(workspace: Workspace, place: str, **settings: Any) -> str:
    """Add a series to the workspace's study; return its name.

    ``place`` is a folder, a URL or a hub id, ``settings`` are those of SeriesConfig. A folder may
    still be empty. Raises GradpipeError if the place cannot be listed, or if the study has a model
    or series of that name.
    """
    local = settings.get("checkpoints") is not None and "://" not in place
    identifier = str(Path(place).expanduser().resolve()) if local else place
    if settings.get("tokenizer") is not None:
        settings["tokenizer"] = _absolute(settings["tokenizer"])
    try:
        entry = SeriesConfig.model_validate({"id": identifier, **settings})
    except ValidationError as error:
        first = error.errors()[0]
        raise StudyError(
            f"The series' {first['loc'][0]!r} is invalid: {first['msg'].lower()}."
        ) from None
    list_checkpoints(entry, workspace.series)
    _add(workspace, entry)
    return entry.name


def remove_model(workspace: Workspace, name: str) -> None:
    """Remove a model or a series from the workspace's study; raises StudyError without it."""
    study = workspace.written_study()
    entries = tuple(entry for entry in study.models if entry.name != name)
    if len(entries) == len(study.models):
        raise _not_an_entry(workspace.expand(study), name)
    _keep(workspace, study, entries)


def delete_rows(workspace: Workspace, study: Study, name: str) -> None:
    """Delete the rows and records of a model, or of all steps of a series.

    ``study`` is the workspace's study while it still has them.
    """
    for model in study.models:
        if name in {model.name, model.series}:
            workspace.delete_model(model.name)
            if model.series is not None and model.step is not None:
                workspace.series.delete(model.series, float(model.step))
    if name in {entry.name for entry in series_of(study)}:
        # Steps outside the series' present range have records too.
        for record in workspace.series.of(name):
            workspace.delete_model(step_model_name(name, record.step))
        workspace.series.delete(name)
    else:
        workspace.delete_model(name)


def record_step(
    workspace: Workspace,
    series: str,
    step: float,
    identity: str,
    *,
    folder: str = "",
    notes: Sequence[str] = (),
) -> str:
    """Record a step whose rows were computed during training, without a checkpoint.

    Args:
        workspace: The workspace that has the rows.
        series: The series' name. The study gets an entry for it if it has none.
        step: The step.
        identity: The model's part of the rows' keys: a hash of the weights of that moment.
        folder: The training's output folder, for the series' entry.
        notes: Sentences on the model's prompts, for the report.

    Returns:
        The name of the model in the study, ``SERIES@STEP``.
    """
    study = workspace.written_study()
    if series not in {entry.name for entry in series_of(study)}:
        _add(workspace, SeriesConfig(id=folder or series, name=series, checkpoints=()))
    record = StepRecord(
        step=float(step),
        place=folder or series,
        fingerprint=identity,
        notes=tuple(notes),
        probed=True,
    )
    workspace.series.keep(series, record)
    return step_model_name(series, step)


def _not_an_entry(study: Study, name: str) -> StudyError:
    """Why a name, which is none of the study's entries, cannot be removed."""
    model = next((model for model in study.models if model.name == name), None)
    if model is None:
        known = {entry.name for entry in (*study.entries, *study.models)}
        return StudyError(f"The study has no model {name!r}: {nearest(name, sorted(known))}")
    if model.series is None:
        users = [entry.name for entry in series_of(study) if entry.base == name]
        return StudyError(
            f"{name} is in the study as the base of the series {', '.join(users)}: remove the "
            "series, or its `base`."
        )
    return StudyError(
        f"{name} is a step of the series {model.series!r}, and a model as long as it exists: "
        f"remove {model.series}, or leave the step out by the series' `first`, `last`, `every` or "
        "pattern."
    )


def _add(workspace: Workspace, entry: ModelConfig) -> None:
    study = workspace.written_study()
    _keep(workspace, study, (*study.models, entry))


def _keep(workspace: Workspace, study: Study, entries: tuple[ModelConfig, ...]) -> None:
    changed = study_yaml(study.model_copy(update={"models": entries}))
    workspace.keep_study(parse_study(changed, str(workspace.study_path)))


def _absolute(model: str) -> str:
    """A local path made absolute; ``demo`` is a model, even beside a folder of that name."""
    path = Path(model).expanduser()
    return str(path.resolve()) if model != "demo" and path.exists() else model
