"""Bringing a study up to date: the five stages on a small model, again, changed, and killed."""

import shutil
import signal
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

import gradpipe.engines.local
from assets.gradient_spectra import GRADIENT_SPECTRA
from assets.partitions import partition_key
from assets.planning.versions import Versions
from assets.resources import Accelerator
from assets.running.instance import open_instance
from assets.running.outcome import StageCount
from assets.running.runner import Runner
from gradpipe.errors import DataError, ModelError, StudyError, WorkspaceError
from gradpipe.studies.load import study_yaml
from gradpipe.studies.study import Study
from storage.stages import Partition
from storage.workspace import Workspace
from tests.assets.conftest import ASSETS, resources
from tests.conftest import FirstRun, study_of
from tests.faults.runs import Run

BOTH = ("mini_maths", "mini_obscure")


def bring_up(study: Study, accelerator: Accelerator | None = None) -> dict[str, StageCount]:
    return Runner(Workspace.current(), study, accelerator or Accelerator()).bring_up_to_date()


class NoAccelerator(Accelerator):
    """Fails the test where a model is loaded."""

    def load(self, *_: Any) -> Any:
        raise AssertionError("a model was loaded")


def computed(counts: dict[str, StageCount]) -> dict[str, int]:
    return {stage: count.computed for stage, count in counts.items()}


@pytest.fixture
def done(first_run: FirstRun, home: Path) -> dict[str, StageCount]:
    """The counts of a first run, with a copy of its workspace as the current one."""
    shutil.copytree(first_run.workspace, home)
    return first_run.counts


def test_a_first_run_computes_every_stage(done: dict[str, StageCount], home: Path) -> None:
    assert computed(done) == {
        "benchmark_items": 4,
        "responses": 2 * 6 + 2 * 2,
        "gradient_spectra": 16,
        "spectral_statistics": 2,
        "report": 1,
    }
    assert (home / "report" / "index.html").is_file()
    statistics = Workspace.current().statistics("small", "mini_maths").read()
    assert statistics.height == 12 * 3 * 4
    # The spectra of so short texts have too few values for a power law.
    tail = pl.selectors.starts_with("tail_")
    assert statistics.drop(tail).null_count().sum_horizontal().item() == 0
    assert Workspace.current().alignments("small", "mini_maths").read()["kind"].n_unique() == 3
    sets = Workspace.current().example_sets("small", "mini_maths").read()
    assert sets.height == 3 * 2 * 5
    written = pl.read_csv(home / "report" / "tables" / "set_diversity_in_full.csv")
    assert written.filter(benchmark="mini_maths")["diversity"].is_between(0.999, 2.001).all()


def test_the_same_study_again_does_no_work_and_loads_no_model(
    done: dict[str, StageCount], small_model: Path
) -> None:
    again = bring_up(study_of(small_model, *BOTH), NoAccelerator())
    assert set(computed(again).values()) == {0}
    assert again["gradient_spectra"].reused == 16


def test_materializing_current_partitions_computes_nothing(
    done: dict[str, StageCount],
) -> None:
    with open_instance(Workspace.current()) as instance:
        outcome = dg.materialize(
            ASSETS,
            selection=["gradient_spectra", "spectral_statistics"],
            partition_key=partition_key(Partition(model="small", benchmark="mini_maths")),
            instance=instance,
            resources=resources(),
        )
    events = outcome.get_asset_materialization_events()
    assert len(events) == 2
    assert all(event.materialization.metadata["computed"].value == 0 for event in events)


@pytest.mark.usefixtures("plain_report")
def test_more_items_cost_those_items_only(done: dict[str, StageCount], small_model: Path) -> None:
    store = Workspace.current().spectra("small", "mini_maths")
    before = set(store.keys())
    study = study_of(small_model, sample=5, benchmarks=["mini_maths"])
    counts = bring_up(study)
    examples = Workspace.current().spectra_index("small", "mini_maths").read()
    new = examples.filter(~pl.col("key").is_in(list(before)))
    assert examples.height == 30
    assert new.height < 30
    assert counts["gradient_spectra"].computed == new.height
    assert counts["gradient_spectra"].reused == 30 - new.height
    assert set(store.keys()) == before | set(new["key"])


def test_an_unusable_row_is_recorded_and_shown_and_equal_ones_are_measured_once(
    home: Path, small_model: Path
) -> None:
    data = home.parent / "mine.jsonl"
    data.write_text(
        '{"instruction": "Say yes.", "answer": "yes", "none": "yes"}\n'
        '{"instruction": "Say nothing.", "answer": "", "none": ""}\n'
        '{"instruction": "Say yes.", "answer": "yes", "none": "yes"}\n'
    )
    mine = {"name": "mine", "source": "files", "path": str(data)}
    bring_up(study_of(small_model, benchmarks=[mine], relevances=["correct"], sample=None))
    index = Workspace.current().spectra_index("small", "mine").read()
    assert index["reason"].to_list() == [None, "the response is empty", None]
    assert set(Workspace.current().spectra("small", "mine").keys()) == set(index["key"])
    assert len(set(index["key"])) == 2
    assert Workspace.current().statistics("small", "mine").read()["item_id"].n_unique() == 2
    assert "the response is empty" in Workspace.current().report_page.read_text()
    unusable = pl.read_csv(home / "report" / "tables" / "unusable.csv")
    assert unusable["reason"].to_list() == ["the response is empty"]


def test_a_benchmark_with_no_usable_row_at_all_still_gets_its_report(
    home: Path, small_model: Path
) -> None:
    data = home.parent / "blank.jsonl"
    data.write_text('{"instruction": "Say nothing.", "none": ""}\n')
    blank = {"name": "blank", "source": "files", "path": str(data)}
    bring_up(study_of(small_model, benchmarks=[blank], relevances=["correct"], sample=None))
    assert Workspace.current().statistics("small", "blank").read().is_empty()
    assert "the response is empty" in Workspace.current().report_page.read_text()


def test_a_study_without_models_says_how_to_add_one(home: Path, small_model: Path) -> None:
    with pytest.raises(StudyError, match="gradpipe models add"):
        bring_up(study_of(small_model, *BOTH, models=[]))


def test_a_report_on_nothing_says_what_comes_first(home: Path) -> None:
    with (
        open_instance(Workspace.current()) as instance,
        pytest.raises(WorkspaceError, match="spectral_statistics first"),
    ):
        dg.materialize(
            ASSETS,
            selection=["report"],
            instance=instance,
            resources=resources(),
        )


def test_a_missing_model_stops_before_anything_is_written(home: Path, small_model: Path) -> None:
    with pytest.raises(ModelError):
        bring_up(study_of(small_model / "gone", *BOTH))
    assert list(home.iterdir()) == []


def test_a_style_the_source_lacks_stops_before_anything_is_written(
    home: Path, small_model: Path
) -> None:
    with pytest.raises(DataError, match="article"):
        bring_up(study_of(small_model, styles=["article"], benchmarks=["mini_maths"]))
    assert list(home.iterdir()) == []


@pytest.mark.usefixtures("plain_report")
def test_a_run_that_waits_for_the_accelerator_says_so(home: Path, small_model: Path) -> None:
    workspace, study = Workspace.current(), study_of(small_model, benchmarks=["mini_obscure"])
    other = "00000000-0000-4000-8000-000000000000"
    heard: list[str] = []
    with open_instance(workspace) as instance:
        pools = instance.event_log_storage
        instance.add_run(dg.DagsterRun("job", run_id=other, status=dg.DagsterRunStatus.STARTED))
        pools.initialize_concurrency_limit_to_default("gpu")
        assert pools.claim_concurrency_slot("gpu", other, "step").is_claimed

        def release(reason: str) -> None:
            heard.append(reason)
            pools.free_concurrency_slots_for_run(other)

        runner = Runner(workspace, study, Accelerator(), on_note=release)
        runner.bring_up_to_date()
    assert heard == ["waiting for the accelerator, which run 00000000 holds"]
    assert not runner.failures


def test_an_interrupted_run_stops_at_once_and_keeps_what_was_done(
    home: Path, small_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(study_yaml(study_of(small_model, sample=None, benchmarks=["mini_maths"])))
    store = Workspace.current().spectra("small", "mini_maths")
    run = Run(home, tmp_path / "notes", path)
    while len(store.parts()) < 3 and run.process.is_alive():
        run.process.join(0.005)
    run.send(signal.SIGINT)
    ended = run.end()
    assert ended.code == 130
    assert "gradpipe: stopped" in ended.errors
    assert "to resume" in ended.errors
    assert "Traceback" not in ended.errors
    assert 0 < len(store.keys()) < 72
    with open_instance(Workspace.current()) as instance:
        assert not instance.event_log_storage.get_concurrency_info("gpu").claimed_slots


def test_names_with_every_sign_that_dagster_cannot_have_are_partitions(
    home: Path, small_model: Path
) -> None:
    model, benchmark = "org/na me|[x],y...z=~é", "mi/ne, |[1]..\n"
    data = home.parent / "mine.jsonl"
    data.write_text('{"instruction": "Say yes.", "none": "yes"}\n')
    study = study_of(
        small_model,
        models=[{"id": str(small_model), "name": model}],
        benchmarks=[{"name": benchmark, "source": "files", "path": str(data)}],
        relevances=["correct"],
        sample=None,
    )
    assert computed(bring_up(study))["report"] == 1
    assert set(computed(bring_up(study, NoAccelerator())).values()) == {0}
    statistics = Workspace.current().statistics(model, benchmark).read()
    assert set(statistics.select("model", "benchmark").rows()) == {(model, benchmark)}


@pytest.mark.usefixtures("plain_report")
def test_a_study_that_is_edited_while_it_runs_is_out_of_date_afterwards(
    home: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_of(small_model, benchmarks=["mini_obscure"])
    edited = study_of(
        small_model, benchmarks=["mini_obscure"], protocol={"preset": "standard", "max_length": 999}
    )
    extract = gradpipe.engines.local.extract_examples

    def edit_and_extract(*arguments: Any) -> Any:
        Workspace.current().keep_study(edited)
        return extract(*arguments)

    monkeypatch.setattr(gradpipe.engines.local, "extract_examples", edit_and_extract)
    bring_up(study)
    workspace = Workspace.current()
    cell = Partition(model="small", benchmark="mini_obscure")
    assert Versions(workspace, study).is_current(GRADIENT_SPECTRA, cell)
    assert not Versions(workspace, edited).is_current(GRADIENT_SPECTRA, cell)
