"""Studies in somebody else's code location."""

import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.resources import StudyWorkspace
from gradpipe.dagster import build_study_definitions
from gradpipe.errors import StudyError, WorkspaceError
from storage.workspace import Workspace
from tests.assets.foreign_project import keys_of_project
from tests.conftest import ROOT, study_of

STAGES = ["benchmark_items", "gradient_spectra", "report", "responses", "spectral_statistics"]


def study(model: Path, name: str, **settings: Any) -> dict[str, Any]:
    return {
        "name": name,
        "models": [{"id": str(model), "name": "small"}],
        "benchmarks": ["mini_obscure"],
        "sample": 2,
        "sampling": "first",
        "statistics": ["nuclear_norm"],
        **settings,
    }


def computed(
    defs: dg.Definitions, instance: dg.DagsterInstance, job: str, key: str | None
) -> dict[str, int]:
    """Run a job on a partition; (key of an asset) → rows computed."""
    result = defs.resolve_job_def(job).execute_in_process(partition_key=key, instance=instance)
    assert result.success
    materialized = [event.materialization for event in result.get_asset_materialization_events()]
    return {m.asset_key.to_user_string(): m.metadata["computed"].value for m in materialized}


def test_two_studies_join_a_project_with_modules_of_the_same_names(tmp_path: Path) -> None:
    keys = keys_of_project(tmp_path, sys.executable, {"PYTHONPATH": str(ROOT), "PATH": ""})
    ours = [f"{name}/{stage}" for name in ("one", "two") for stage in STAGES]
    assert keys == sorted([*ours, "theirs"])


def test_names_owners_tags_and_pool_are_those_that_are_asked_for(small_model: Path) -> None:
    spec = {"dagster-k8s/config": {"pod_spec_config": {"node_selector": {"gpu": "yes"}}}}
    defs = build_study_definitions(
        study(small_model, "any"),
        key_prefix=["team", "study"],
        group_name="ours",
        pool="h200",
        owners=["team:ml"],
        tags={"domain": "research"},
        op_tags={"gradient_spectra": spec},
    )
    graph = defs.resolve_asset_graph()
    for stage in STAGES:
        key = dg.AssetKey(["team", "study", stage])
        node = graph.get(key)
        assert (node.group_name, list(node.owners)) == ("ours", ["team:ml"])
        assert node.tags["domain"] == "research"
        spectra = stage == "gradient_spectra"
        assert node.pools == ({"h200"} if spectra else set())
        assert bool(node.assets_def.op.tags) == spectra
        assert {check.asset_key for check in node.check_keys} <= {key}
    names = {job.name for job in defs.resolve_all_job_defs()}
    assert "team__study__model_gradients" in names


def test_a_study_in_code_is_computed_in_its_own_workspace(home: Path, small_model: Path) -> None:
    defs = dg.Definitions.merge(
        *(build_study_definitions(study(small_model, name)) for name in ("one", "two"))
    )
    with dg.DagsterInstance.ephemeral() as instance:
        data = computed(defs, instance, "one__benchmark_data", "mini_obscure")
        cell = "mini_obscure|small"
        rows = computed(defs, instance, "one__model_gradients", cell)
        again = computed(defs, instance, "one__model_gradients", cell)
        report = computed(defs, instance, "one__report_page", None)
        other = computed(defs, instance, "two__benchmark_data", "mini_obscure")
    assert data == {"one/benchmark_items": 2, "one/responses": 4}
    assert rows == {"one/gradient_spectra": 4, "one/spectral_statistics": 1}
    assert again == {"one/gradient_spectra": 0, "one/spectral_statistics": 0}
    assert report == {"one/report": 1}
    assert other == {"two/benchmark_items": 2, "two/responses": 4}
    assert (home / "one" / "report" / "index.html").is_file()
    assert sorted(path.name for path in home.iterdir()) == ["one", "two"]


def test_its_sensor_requests_runs_of_its_own_assets(home: Path, small_model: Path) -> None:
    automatic = study(small_model, "one", automation=True)
    defs = build_study_definitions(automatic, key_prefix=["a", "b"])
    (sensor,) = defs.sensors or ()
    assert isinstance(sensor, dg.SensorDefinition)
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance, definitions=defs)
        (request,) = sensor.evaluate_tick(context).run_requests or ()
    assert request.job_name == "a__b__benchmark_data"
    assert request.partition_key == "mini_obscure"
    assert request.asset_selection == [dg.AssetKey(["a", "b", "benchmark_items"])]


def test_an_edited_study_replaces_the_earlier_one_in_its_workspace(
    home: Path, small_model: Path
) -> None:
    first, second = (study_of(small_model, "mini_maths", sample=sample) for sample in (2, 3))
    assert StudyWorkspace(first).open().written_study() == first
    workspace = StudyWorkspace(second).open()
    assert workspace.root == home / "small"
    assert workspace.written_study() == second


def test_a_workspace_of_another_study_is_refused(
    home: Path, small_model: Path, tmp_path: Path
) -> None:
    shared = str(tmp_path / "shared")
    one, two = (study_of(small_model, "mini_maths", name=name) for name in ("one", "two"))
    StudyWorkspace(one, shared).open()
    with pytest.raises(WorkspaceError, match="'one'"):
        StudyWorkspace(two, shared).open()
    assert Workspace(Path(shared)).written_study() == one


def test_a_series_gets_partitions_that_change(small_model: Path) -> None:
    series = {"id": str(small_model.parent), "name": "sft", "checkpoints": "checkpoint-*"}
    defs = build_study_definitions(study(small_model, "one", models=[series]), key_prefix=["x"])
    node = defs.resolve_asset_graph().get(dg.AssetKey(["x", "gradient_spectra"]))
    assert isinstance(node.partitions_def, dg.MultiPartitionsDefinition)
    (models,) = (part.partitions_def for part in node.partitions_def.partitions_defs[1:])
    assert models == dg.DynamicPartitionsDefinition(name="x/models")


def test_op_tags_of_an_unknown_asset_are_refused(small_model: Path) -> None:
    with pytest.raises(StudyError, match="gradient_spectra"):
        build_study_definitions(study(small_model, "one"), op_tags={"gradient_spectrum": {}})


def test_a_study_that_only_its_prefix_tells_from_others_needs_a_name_or_a_workspace(
    tmp_path: Path, small_model: Path
) -> None:
    unnamed = study(small_model, "any")
    del unnamed["name"]
    with pytest.raises(StudyError, match="give it a `name`"):
        build_study_definitions(unnamed, key_prefix=["a"])
    for given in ({**unnamed, "name": "study"}, {**unnamed, "name": "a"}):
        assert build_study_definitions(given, key_prefix=["a"]).assets
    assert build_study_definitions(unnamed, key_prefix=["a"], workspace=tmp_path).assets
    assert build_study_definitions(unnamed).assets
