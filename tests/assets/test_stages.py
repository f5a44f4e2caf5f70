"""The list of stages agrees with the assets, the workspace's files and the jobs."""

from pathlib import Path

import dagster as dg
import pytest

from assets.jobs import STAGE_JOBS
from assets.partitions import benchmark_partitions, grid_partitions
from assets.planning.plan import Plan, Unit
from assets.planning.versions import Stage, Versions
from assets.stages import STAGES, stages_by_run
from definitions import defs
from gradpipe.studies.study import Study
from storage.stages import STAGE_FILES, Partition
from storage.workspace import Workspace

PARTITIONS: dict[tuple[str, ...], dg.PartitionsDefinition[str] | None] = {
    (): None,
    ("benchmark",): benchmark_partitions,
    ("model", "benchmark"): grid_partitions,
}


def test_every_stage_has_its_files() -> None:
    assert tuple(stage.files for stage in STAGES) == STAGE_FILES


def test_every_stage_comes_after_those_that_it_reads() -> None:
    for number, stage in enumerate(STAGES):
        assert set(stage.reads) <= set(STAGES[:number])
        assert stage.upstream == tuple(earlier for earlier in STAGES if earlier in stage.upstream)
    assert set(STAGES[-1].upstream) == set(STAGES[:-1])


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stage_describes_its_asset(stage: Stage) -> None:
    assert stage.asset.key.to_user_string() == stage.name
    assert stage.asset.partitions_def == PARTITIONS[stage.files.partitioned_by]
    assert stage.asset.asset_deps[stage.asset.key] == {read.asset.key for read in stage.reads}
    job = defs.resolve_job_def(stage.job)
    assert stage.name in {node.name for node in job.nodes}


def test_the_jobs_have_their_usual_names() -> None:
    assert list(STAGE_JOBS) == ["benchmark_data", "model_gradients", "report_page"]


def test_stages_share_a_run_only_if_they_share_partitions_and_job() -> None:
    names = [[stage.name for stage in stages] for stages in stages_by_run()]
    assert names == [
        ["benchmark_items"],
        ["responses"],
        ["gradient_spectra", "spectral_statistics"],
        ["report"],
    ]
    for stages in stages_by_run():
        assert len({stage.files.partitioned_by for stage in stages}) == 1
        assert len({stage.job for stage in stages}) == 1


def test_the_units_of_a_plan_follow_their_inputs(home: Path) -> None:
    benchmarks = ["mini_maths", "mini_popular"]
    study = Study.model_validate({"models": ["a", "b"], "benchmarks": benchmarks})
    units = list(Plan(Versions(Workspace(home), study)).units())
    labels = [(unit.stages[0].name, unit.label) for unit in units]
    assert labels == [
        ("benchmark_items", "mini_maths"),
        ("responses", "mini_maths"),
        ("benchmark_items", "mini_popular"),
        ("responses", "mini_popular"),
        *(
            ("gradient_spectra", f"{model} × {benchmark}")
            for model in ("a", "b")
            for benchmark in benchmarks
        ),
        ("report", ""),
    ]
    for number, unit in enumerate(units):
        assert unit.upstream <= set(units[:number])
    cell = units[4]
    items, responses, *_ = stages_by_run()
    assert cell.upstream == {
        Unit(stages, Partition(benchmark="mini_maths")) for stages in (items, responses)
    }
    # It reads whatever is current.
    assert units[-1].summarizes
    assert units[-1].upstream == set()
