"""Models that a user adds as partitions in the Dagster UI become models of the study."""

from __future__ import annotations

import json
import time

import dagster as dg

from assets.partitions import keys_of_users, model_partitions
from gradpipe.errors import GradpipeError, ModelError
from gradpipe.studies.series import series_of
from storage.names import slug, unslug
from storage.study_models import add_model
from storage.workspace import Workspace

#: Seconds after which a key that is not a model is tried again: each try may ask the hub.
RETRY_INTERVAL = 600.0
_TRIED = "gradpipe/tried_models"


def adopt_models(context: dg.SensorEvaluationContext, workspace: Workspace) -> None:
    """Add the models that users added as partitions to the study.

    A key is a model's id or name, or its slug. One that is not a model stays a partition, and a run
    on it says why. A key in another spelling than the slug is replaced by the slug.
    """
    instance = context.instance
    study = workspace.study()
    keys = keys_of_users(instance, study)
    tried = {key: tried for key, tried in _tried(instance).items() if key in keys}
    names = {model.name for model in study.models}
    series = {entry.name for entry in series_of(study)}
    for key in keys:
        if time.time() - tried.get(key, 0) < RETRY_INTERVAL:
            continue
        try:
            name = unslug(key)
            if name in names:
                # The same model in another spelling, such as ORG/NAME.
                instance.delete_dynamic_partition(str(model_partitions.name), key)
            elif name.rpartition("@")[0] not in series:
                _add(workspace, name)
                context.log.info(f"{name} was added as a partition, and is now in the study.")
                if key != slug(name):
                    instance.delete_dynamic_partition(str(model_partitions.name), key)
        except GradpipeError as error:
            tried[key] = time.time()
            context.log.warning(f"The partition {key} is not a model: {error}")
    _record_tried(instance, tried)


def _add(workspace: Workspace, name: str) -> None:
    """Add a model by its id, or by ``ID@REVISION``."""
    try:
        add_model(workspace, name)
    except ModelError:
        model, at, revision = name.rpartition("@")
        if not at:
            raise
        add_model(workspace, model, revision)


def _tried(instance: dg.DagsterInstance) -> dict[str, float]:
    stored = instance.daemon_cursor_storage.get_cursor_values({_TRIED}).get(_TRIED)
    times: dict[str, float] = json.loads(stored) if stored else {}
    return times


def _record_tried(instance: dg.DagsterInstance, tried: dict[str, float]) -> None:
    if tried != _tried(instance):
        instance.daemon_cursor_storage.set_cursor_values({_TRIED: json.dumps(tried)})
