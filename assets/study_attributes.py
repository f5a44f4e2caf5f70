"""What a study says about its assets in Dagster: owners, tags, and when the report is overdue."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import dagster as dg

from assets.code_references import with_code_references
from assets.stages import STAGES
from gradpipe.errors import GradpipeError
from gradpipe.studies.load import load_study
from gradpipe.studies.study import Study
from storage.workspace import DEFAULT_STUDY, Workspace


def report_freshness(study: Study) -> dg.FreshnessPolicy | None:
    """When Dagster shows the report as overdue; None for never."""
    days = study.freshness_days
    return dg.FreshnessPolicy.time_window(fail_window=timedelta(days=days)) if days else None


def assets_of(study: Study) -> list[dg.AssetsDefinition]:
    """The assets of the stages with owners, tags, freshness and the place of their code."""
    summaries = {stage.asset.key for stage in STAGES if stage.summarizes}
    freshness = report_freshness(study)

    def described(spec: dg.AssetSpec) -> dg.AssetSpec:
        spec = spec.merge_attributes(owners=study.owners, tags=study.tags)
        if freshness is None or spec.key not in summaries:
            return spec
        fresh: dg.AssetSpec = dg.apply_freshness_policy(spec, freshness)
        return fresh

    assets = with_code_references(stage.asset for stage in STAGES)
    return [*dg.map_asset_specs(described, assets)]


def current_study() -> Study:
    """The study of the current workspace as it was written; the demo if it cannot be read.

    For definitions, which have to load even if the workspace cannot be reached or is not there yet.
    """
    with suppress(GradpipeError):
        if (workspace := Workspace.existing()) is not None:
            return workspace.written_study()
    return load_study(DEFAULT_STUDY)
