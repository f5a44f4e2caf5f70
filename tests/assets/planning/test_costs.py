"""What a backfill would cost is said before it is paid, and comes true."""

from pathlib import Path

import pytest

from assets.planning.costs import CostEstimate, estimates, total
from assets.planning.plan import Plan
from assets.planning.versions import Versions
from assets.resources import Accelerator
from assets.running.runner import Runner
from gradpipe.studies.study import Study
from storage.workspace import Workspace
from tests.assets.conftest import NoAccelerator, add_items, finished_study, heavier


def estimated(study: Study) -> dict[tuple[str, str], CostEstimate]:
    """Estimates by model and benchmark, with no weights loaded and no file written."""
    workspace = Workspace.current()
    before = contents(workspace)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Accelerator, "load", NoAccelerator.load)
        found = list(estimates(Plan(Versions(workspace, study))))
    assert contents(workspace) == before
    return {(one.model, one.benchmark): one for one in found}


def contents(workspace: Workspace) -> dict[str, int]:
    assert isinstance(workspace.root, Path)
    return {str(path): path.stat().st_mtime_ns for path in workspace.root.rglob("*")}


def test_what_is_finished_costs_nothing(done: Path) -> None:
    found = list(estimated(finished_study(done)).values())
    assert [(one.rows, one.tokens, one.seconds, one.bytes) for one in found] == [(0, 0, 0, 0)] * 2
    assert sorted(one.all_rows for one in found) == [4, 40]
    assert total(found).cells() == ("in all", "", "0", "44", "0", "0:00:00", "0 B")


@pytest.mark.usefixtures("plain_report")
def test_rows_and_tokens_are_those_that_the_next_run_computes(done: Path) -> None:
    add_items(done, range(20, 30))
    study = finished_study(done)
    found = estimated(study)["small", "mine"]
    assert (found.rows, found.all_rows) == (40, 80)
    store = Workspace.current().spectra("small", "mine")
    before = set(store.keys())
    runner = Runner(Workspace.current(), study, Accelerator())
    runner.bring_up_to_date()
    assert runner.counts["gradient_spectra"].computed == found.rows
    rows = store.scan().drop("matrices").collect()
    new = rows.filter(~rows["key"].is_in(list(before)))
    assert new["tokens"].sum() == found.tokens


def test_time_and_disk_come_from_what_the_model_cost_so_far(done: Path) -> None:
    add_items(done, range(20, 30))
    found = estimated(finished_study(done))["small", "mine"]
    workspace = Workspace.current()
    stores = [workspace.spectra("small", name) for name in ("mine", "mini_obscure")]
    rows = [store.scan().drop("matrices").collect() for store in stores]
    tokens = sum(frame["tokens"].sum() for frame in rows)
    share = found.tokens / tokens
    assert found.seconds == pytest.approx(share * sum(frame["seconds"].sum() for frame in rows))
    assert found.bytes == pytest.approx(share * sum(store.bytes() for store in stores))


def test_a_model_that_was_never_measured_has_no_price_yet(done: Path) -> None:
    heavier(done / "model", done / "other")
    models = [
        {"id": str(done / "model"), "name": "small"},
        {"id": str(done / "other"), "name": "other"},
    ]
    found = estimated(finished_study(done, models=models))
    assert (found["other", "mine"].rows, found["other", "mine"].seconds) == (40, None)
    assert found["other", "mine"].tokens > 0
    assert "not measured yet" in found["other", "mine"].cells()
    assert "not measured yet" in total(list(found.values())).cells()
    assert found["small", "mine"].seconds == 0
