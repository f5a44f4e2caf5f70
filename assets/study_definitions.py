"""A study as part of somebody else's code location."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from assets.automation import study_schedule, study_sensor
from assets.dagster_workarounds.pool_slots import GPU
from assets.derived_assets import derived_assets
from assets.jobs import study_jobs
from assets.naming import Naming
from assets.partitions import StudyPartitions
from assets.resources import Accelerator, StudyWorkspace
from assets.stage_run import ASSET_GROUP
from assets.stages import STAGES
from assets.study_attributes import report_freshness
from gradpipe.errors import StudyError, nearest
from gradpipe.studies.load import load_study, parse_study
from gradpipe.studies.study import Study

#: One for all studies of a code location: a process has at most one model in memory.
_ACCELERATOR = Accelerator()


def build_study_definitions(
    study: str | Path | Mapping[str, Any] | Study,
    *,
    key_prefix: Sequence[str] | None = None,
    workspace: str | Path | None = None,
    group_name: str = ASSET_GROUP,
    pool: str | None = GPU,
    owners: Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
    op_tags: Mapping[str, Mapping[str, Any]] | None = None,
    executor: dg.ExecutorDefinition | None = None,
    automation_condition: dg.AutomationCondition[dg.AssetKey] | None = None,
) -> dg.Definitions:
    """Build a study's assets, checks, jobs, sensor and schedule for any code location.

    Merge the result with other definitions (``dg.Definitions.merge``), also with those of other
    studies: each has its own keys, partitions, names of jobs, and workspace.

    Args:
        study: The path of a study's YAML file, the name of one that ships, its content as a
            mapping, or a loaded study. It is the study as it is computed: edits take effect when
            the code location is reloaded.
        key_prefix: What the keys of the assets start with, and the names of jobs, sensor and
            schedule; by default the study's name. With an empty list, there is no prefix.
        workspace: The folder or URL of the study's workspace; by default the folder of the study's
            name in the workspace that GRADPIPE_HOME names. No other study may use it. A study
            without a name of its own that has a ``key_prefix`` needs one.
        group_name: The assets' group.
        pool: The pool whose slots limit the extractions at the same time, in all studies that name
            it; with None, there is no limit.
        owners: The assets' owners besides the study's: e-mail addresses, or ``team:NAME``.
        tags: Tags of every asset, besides the study's.
        op_tags: Tags of the steps of single assets, by the asset's name, for example for
            Kubernetes: ``{"gradient_spectra": {"dagster-k8s/config": {...}}}``.
        executor: What runs the steps of a job; by default that of the code location.
        automation_condition: A condition of every asset, in addition to the sensor, which needs
            none.

    Returns:
        The definitions, without resources, loggers and executor of their own.

    Raises:
        StudyError: The study cannot be read, ``op_tags`` names no asset, or a study with a
            ``key_prefix`` has neither a name nor a workspace.
    """
    loaded = read_study(study, Path.cwd())
    if key_prefix is not None and workspace is None:
        _require_name(loaded)
    prefix = _prefix_of(loaded) if key_prefix is None else tuple(key_prefix)
    known = [stage.name for stage in STAGES]
    for name in op_tags or ():
        if name not in known:
            raise StudyError(f"op_tags has no asset {name!r}: {nearest(name, known)}")
    names = Naming(
        prefix=prefix,
        group=group_name,
        pool=pool,
        owners=tuple(dict.fromkeys([*loaded.owners, *owners])),
        tags={**loaded.tags, **(tags or {})},
        op_tags=op_tags or {},
        condition=automation_condition,
        freshness=report_freshness(loaded),
        partitions=StudyPartitions.of_study(loaded, "".join(f"{part}/" for part in prefix)),
    )
    resources = {
        "workspace": StudyWorkspace(loaded, None if workspace is None else str(workspace)),
        "accelerator": _ACCELERATOR,
    }
    jobs = study_jobs(names, resources, executor)
    return dg.Definitions(
        assets=derived_assets(names, resources),
        jobs=[*jobs.stages.values(), jobs.fill, jobs.check_stored],
        sensors=[study_sensor(names, jobs, resources)],
        schedules=[study_schedule(names, jobs, resources)],
    )


def read_study(study: str | Path | Mapping[str, Any] | Study, folder: Path) -> Study:
    """Read a study from its file, its name or its content; relative paths start at ``folder``.

    Raises StudyError.
    """
    if isinstance(study, Study):
        return study
    if isinstance(study, Mapping):
        try:
            text = yaml.safe_dump(dict(study), sort_keys=False)
        except yaml.YAMLError as error:
            raise StudyError(
                f"The study cannot be written as YAML ({error}): use texts, numbers, lists and "
                "mappings only."
            ) from error
        return parse_study(text, "that was given", folder)
    path = folder / Path(study).expanduser()
    return load_study(str(path) if path.suffix in {".yaml", ".yml"} else str(study))


def _require_name(study: Study) -> None:
    """Raise StudyError if a study has the default name, and so the workspace of all such studies.

    Without a ``key_prefix``, Dagster refuses a second one, since their keys collide.
    """
    default = Study.model_fields["name"].default
    if study.name == default and "name" not in study.model_fields_set:
        raise StudyError(
            "The study with a `key_prefix` has neither a name nor a workspace, so that it would "
            "share the folder of other studies without a name: give it a `name` "
            f"(`name: {default}` keeps the folder that it had), or a `workspace`."
        )


def _prefix_of(study: Study) -> tuple[str, ...]:
    """The study's name as a part of a key."""
    return (re.sub(r"\W+", "_", study.name),)
