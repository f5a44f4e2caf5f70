"""A run reports on its first partitions while the others are computed."""

from pathlib import Path

import pytest

from assets.planning.plan import Plan, Unit
from assets.planning.versions import Versions
from assets.report import REPORT
from assets.resources import Accelerator
from assets.running import interim_reports
from assets.running.interim_reports import InterimReports
from assets.running.runner import Runner
from assets.spectral_statistics import SPECTRAL_STATISTICS
from gradpipe.studies.study import Study
from storage.stages import Partition
from storage.workspace import Workspace
from tests.conftest import study_of

BENCHMARKS = ("mini_maths", "mini_obscure")
NOTE = 'id="interim"'


@pytest.fixture
def study(small_model: Path, home: Path) -> Study:
    return study_of(small_model, *BENCHMARKS, statistics=["nuclear_norm"])


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interim reports are due from the start of a run."""
    monkeypatch.setattr(interim_reports, "FIRST_AFTER", 0.0)


class Watched:
    """A run, with the pages that there are when gradients of a partition begin."""

    def __init__(self, study: Study, *, stop_at: int | None = None) -> None:
        self.workspace = Workspace.current()
        self.pages: list[str] = []
        self.notes: list[str] = []
        self.stop_at = stop_at
        self.runner = Runner(self.workspace, study, Accelerator(), self.begin, self.notes.append)
        self.run = self.runner.bring_up_to_date

    @property
    def page(self) -> str:
        page = Path(str(self.workspace.report_page))
        return page.read_text() if page.is_file() else ""

    def begin(self, stage: str, _: str) -> None:
        if stage == "gradient_spectra":
            self.pages.append(self.page)
            if len(self.pages) == self.stop_at:
                raise KeyboardInterrupt

    def report_is_current(self) -> bool:
        versions = Versions(self.workspace, self.workspace.study())
        return versions.is_current(REPORT, Partition())


@pytest.mark.usefixtures("at_once")
def test_the_first_page_is_there_before_the_last_partition(study: Study) -> None:
    run = Watched(study)
    counts = run.run()
    first, second = run.pages
    assert first == ""
    assert NOTE in second
    assert "1 of 2 partitions" in second
    assert NOTE not in run.page
    assert [note for note in run.notes if str(run.workspace.report_page) in note]
    # The interim report is no result of the run.
    assert counts["report"].computed == 1
    assert run.report_is_current()


@pytest.mark.usefixtures("at_once")
def test_a_run_stopped_after_its_first_page_leaves_the_report_to_the_next(study: Study) -> None:
    stopped = Watched(study, stop_at=2)
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    assert NOTE in stopped.page
    assert not stopped.report_is_current()
    again = Watched(study)
    assert again.run()["report"].computed == 1
    assert NOTE not in again.page


def due(study: Study) -> list[Unit]:
    """The units after which a run of the study would write an interim report, were it ready."""
    workspace = Workspace.current()
    plan = Plan(Versions(workspace, study))
    reports = InterimReports(workspace, plan)
    return [unit for unit in plan.units() if reports.due_after(unit)]


def with_results(study: Study) -> list[Unit]:
    units = Plan(Versions(Workspace.current(), study)).units()
    return [unit for unit in units if SPECTRAL_STATISTICS in unit.stages]


def test_a_run_that_has_just_begun_has_none(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interim_reports, "FIRST_AFTER", 30.0)
    assert due(study) == []


@pytest.mark.usefixtures("at_once")
def test_the_last_partition_is_followed_by_the_report_itself(study: Study) -> None:
    first, _ = with_results(study)
    assert due(study) == [first]


@pytest.mark.usefixtures("at_once")
def test_a_workspace_with_a_page_can_wait(study: Study) -> None:
    page = Path(str(Workspace.current().report_page))
    page.parent.mkdir(parents=True)
    page.write_text("")
    assert due(study) == []


@pytest.mark.usefixtures("at_once")
def test_the_next_one_is_due_much_later(study: Study) -> None:
    workspace = Workspace.current()
    reports = InterimReports(workspace, Plan(Versions(workspace, study)))
    first, _ = with_results(study)
    assert reports.due_after(first)
    with reports.writing():
        pass
    assert not reports.due_after(first)
