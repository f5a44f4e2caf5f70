"""Checks that run by themselves: a stage's checks of every stored partition, computing nothing.

A stage's own checks run when it is materialized, before its table is kept. They have a result per
partition, and Dagster 1.13 cannot execute a check with partitions alone. So each stage with checks
has one without partitions, which repeats the others for every partition and records their results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg

from assets.checks import severity_of
from assets.derived_assets import bind
from assets.gradient_spectra import GRADIENT_SPECTRA, spectra_checks
from assets.naming import Naming
from assets.partitions import partition_key
from assets.planning.versions import Stage
from assets.resources import WorkspaceResource
from assets.responses import RESPONSES, response_checks
from assets.spectral_statistics import SPECTRAL_STATISTICS
from gradpipe.check import Check
from gradpipe.errors import DamagedError
from gradpipe.statistics.checks import check_norms
from gradpipe.studies.study import Study
from storage.stages import Partition
from storage.workspace import Workspace

#: The name of the check.
STORED_PARTITIONS = "stored_partitions"
_DESCRIPTION = (
    "Repeats this asset's checks for every stored partition, from the stored tables alone, and "
    "records their results. Execute it by itself; a run that materializes the asset skips it."
)
#: Maximum number of failures that the result names.
_MOST_NAMED = 20


def _checks_of_responses(workspace: Workspace, study: Study, partition: Partition) -> list[Check]:
    name = partition.benchmark
    return response_checks(workspace.responses(name).read(), workspace.quality(name).read(), study)


def _checks_of_spectra(workspace: Workspace, study: Study, partition: Partition) -> list[Check]:
    rows = workspace.spectra_index(partition.model, partition.benchmark).read()
    return spectra_checks(workspace, study, partition, rows)


def _checks_of_statistics(workspace: Workspace, study: Study, partition: Partition) -> list[Check]:
    table = workspace.statistics(partition.model, partition.benchmark)
    return [check_norms(table.scan(), study.statistics)]


_CHECKED: Mapping[Stage, Callable[[Workspace, Study, Partition], list[Check]]] = {
    RESPONSES: _checks_of_responses,
    GRADIENT_SPECTRA: _checks_of_spectra,
    SPECTRAL_STATISTICS: _checks_of_statistics,
}


def stored_checks(names: Naming, resources: Mapping[str, Any]) -> list[dg.AssetChecksDefinition]:
    """The check of every stage that has checks; the resources are bound to it."""
    return [_stored_check(stage, names, resources) for stage in _CHECKED]


def _stored_check(
    stage: Stage, names: Naming, resources: Mapping[str, Any]
) -> dg.AssetChecksDefinition:
    key = names.key(stage.name)

    def check(
        context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[WorkspaceResource]
    ) -> Iterator[dg.AssetCheckEvaluation | dg.AssetCheckResult]:
        if key in context.job_def.asset_layer.executable_asset_keys:
            context.log.info(f"Skipped: {stage.name} has run its checks when it was materialized.")
            return
        opened = workspace.open()
        study = opened.study()
        checked, failed = 0, []
        for partition in stage.partitions(study):
            for evaluation in _evaluations(stage, key, (opened, study, partition)):
                checked += 1
                if not evaluation.passed:
                    failed.append(f"{evaluation.check_name} of {partition.label}")
                yield evaluation
        yield dg.AssetCheckResult(
            passed=not failed,
            description=f"{len(failed)} of {checked} checks failed.",
            metadata={"checks": checked, "failed": failed[:_MOST_NAMED]},
        )

    # A check that may be left out yields nothing where it is skipped.
    return dg.multi_asset_check(
        name=names.name(f"{stage.name}_{STORED_PARTITIONS}"),
        specs=[dg.AssetCheckSpec(STORED_PARTITIONS, asset=key, description=_DESCRIPTION)],
        can_subset=True,
    )(bind(check, resources))


def _evaluations(
    stage: Stage, key: dg.AssetKey, stored: tuple[Workspace, Study, Partition]
) -> Iterator[dg.AssetCheckEvaluation]:
    """The results of a partition's checks; none if it has no table, all failed if it is damaged."""
    workspace, _, partition = stored
    if stage.files.table_of(workspace, partition).notes() is None:
        return
    specs = {spec.name: spec for spec in stage.asset.check_specs}
    try:
        checks = _CHECKED[stage](*stored)
    except DamagedError as error:
        checks = [Check(name, False, str(error).rstrip(".")) for name in specs]
    for result in checks:
        yield dg.AssetCheckEvaluation(
            asset_key=key,
            check_name=result.name,
            passed=result.passed,
            metadata=dict(result.numbers),
            severity=severity_of(specs[result.name]),
            description=result.sentence,
            partition=str(partition_key(partition)),
        )
