"""Owners, tags, freshness, code and columns of the assets."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.code_location import code_location
from assets.planning.versions import Versions
from assets.report import REPORT
from assets.resources import Accelerator, WorkspaceResource
from assets.stages import STAGES
from gradpipe.dagster import build_study_definitions
from gradpipe.studies.study import Study
from storage.stages import Partition
from storage.workspace import Workspace
from tests.conftest import study_of

LABELS: dict[str, Any] = {
    "owners": ["team:ml", "ada@example.org"],
    "tags": {"domain": "research"},
    "freshness_days": 7,
}


def specs(defs: dg.Definitions) -> dict[str, dg.AssetSpec]:
    """The assets by their stages."""
    return {spec.key.path[-1]: spec for spec in defs.resolve_all_asset_specs()}


def shown(study: Study) -> dict[str, dg.AssetSpec]:
    """The assets in the UI of the study's workspace."""
    return specs(code_location(Accelerator(), WorkspaceResource(), shown=study))


def test_the_assets_have_the_owners_and_tags_of_the_study(small_model: Path) -> None:
    for spec in shown(study_of(small_model, "mini_maths", **LABELS)).values():
        assert list(spec.owners) == LABELS["owners"]
        assert spec.tags["domain"] == "research"
        assert any(tag.startswith("dagster/kind/") for tag in spec.tags)


def test_arguments_add_owners_and_tags_to_those_of_the_study(small_model: Path) -> None:
    study = study_of(small_model, "mini_maths", **LABELS)
    defs = build_study_definitions(study, owners=["team:ops", "team:ml"], tags={"tier": "one"})
    for spec in specs(defs).values():
        assert list(spec.owners) == [*LABELS["owners"], "team:ops"]
        assert {"domain": "research", "tier": "one"}.items() <= spec.tags.items()


def test_only_the_report_is_overdue_after_some_days(small_model: Path) -> None:
    study = study_of(small_model, "mini_maths", **LABELS)
    week = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=7))
    for found in (shown(study), specs(build_study_definitions(study))):
        policies = {stage: spec.freshness_policy for stage, spec in found.items()}
        assert policies.pop("report") == week
        assert set(policies.values()) == {None}


def test_these_settings_make_no_report_stale(done: Path) -> None:
    workspace = Workspace.current()
    study = workspace.study()
    labeled = Study.model_validate(study.model_dump(mode="json") | LABELS)
    versions = [Versions(workspace, one).version(REPORT, Partition()) for one in (study, labeled)]
    assert versions[0] == versions[1] == workspace.report_notes().require_notes().version


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_the_code_of_a_stage_is_that_of_its_file_in_every_code_location(
    stage: Any, small_model: Path
) -> None:
    study = study_of(small_model, "mini_maths")
    for found in (shown(study), specs(build_study_definitions(study))):
        references: Any = found[stage.name].metadata["dagster/code_references"]
        (reference,) = references.code_references
        lines = Path(reference.file_path).read_text("utf-8").splitlines()
        below = lines[reference.line_number - 1 :]
        assert next(line for line in below if line.startswith("def ")).startswith(
            f"def {stage.name}("
        )
