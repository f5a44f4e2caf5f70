"""The UI as its users see it: a real browser on the real webserver and daemon of `gradpipe ui`."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

import dagster as dg
import psutil
import pytest

import assets.gradient_spectra
import assets.resources
import gradpipe.gradients.passes.batches
from assets.partitions import partition_key, sync_partitions
from assets.resources import Accelerator
from assets.running.instance import open_instance
from assets.stages import STAGES
from gradpipe.gradients.rows import Progress
from gradpipe.studies.study import Study
from storage.stages import Partition
from storage.workspace import Workspace
from tests.assets.conftest import ASSETS, resources
from tests.assets.serving import Served, serving
from tests.conftest import BROWSER

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-m", "gradpipe.cli"]
DATA = ("benchmark_items", "responses")
CELL = ("gradient_spectra", "spectral_statistics")
KINDS = {
    "benchmark_items": {"Polars", "Parquet"},
    "responses": {"Polars", "Parquet"},
    "gradient_spectra": {"PyTorch", "Parquet"},
    "spectral_statistics": {"Polars", "Parquet"},
    "report": {"altair", "html"},
}
#: One benchmark each, so that no test computes what another is about to: the one that is clicked
#: through, and those whose items and responses are there before the UI starts.
CLICKED, FILLED, WATCHED = "mini_obscure", "filled", "watched"
RUNS = "{ runsOrError { ... on Runs { results { runId status } } } }"
Found = TypeVar("Found")

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no chromium, chromium-browser or google-chrome on this machine"
)


def until(look: Callable[[], Found | None], what: str, seconds: float = 300) -> Found:
    """What is found at last; fails where nothing is within that time."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.2)
    return found


@dataclass
class Ui(Served):
    """The UI of a workspace, open in a page of the browser."""

    page: Any
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(300_000)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def open(self, path: str) -> Any:
        self.page.goto(self.address + path)
        return self.page

    def runs(self) -> dict[str, str]:
        """The status of every run."""
        return {run["runId"]: run["status"] for run in self.ask(RUNS)["runsOrError"]["results"]}

    def new_run(self, before: dict[str, str]) -> str:
        """The run that was not there before."""
        new = until(lambda: self.runs().keys() - before.keys(), "a new run")
        (run,) = new
        return run

    def success_of(self, run: str) -> None:
        """Wait until a run has ended well."""
        ended = {"SUCCESS", "FAILURE", "CANCELED"}
        status = until(lambda: {self.runs()[run]} & ended, f"the end of run {run}")
        assert status == {"SUCCESS"}

    def materialize(self, stages: tuple[str, ...], *partitions: str) -> None:
        """Tick stages in the catalog, choose a partition, launch the run, wait for its success."""
        page, before = self.open("/assets"), self.runs()
        for stage in stages:
            page.get_by_test_id(f"checkbox-{stage}").locator("..").click()
        page.get_by_role("button", name="Materialize selected").click()
        if partitions:
            dialog = page.get_by_role("dialog")
            for partition in partitions:
                dialog.get_by_text("Select a partition or create one").first.click()
                page.get_by_role("menuitem").filter(has_text=partition).click()
                page.keyboard.press("Escape")
            dialog.get_by_role("button", name="Launch 1 run").click()
        self.success_of(self.new_run(before))

    def metadata(self) -> dict[str, str]:
        """The metadata that the page shows, as text."""
        self.page.get_by_role("cell", name="computed", exact=True).wait_for()
        rows: list[list[str]] = self.page.locator("tr").evaluate_all(
            "rows => rows.filter((row) => !row.parentElement.closest('td'))"
            ".map((row) => [...row.cells].map((cell) => cell.innerText.trim()))"
        )
        return {row[0]: row[1] for row in rows}

    def picture(self) -> tuple[str, int]:
        """The start of the address and the width of the picture among the metadata."""
        # Tables are in this form too, and stand before it.
        self.page.get_by_text("[Show Markdown]").last.click()
        picture = self.page.get_by_role("dialog").locator("img")
        picture.wait_for()
        address, width = picture.evaluate(
            "async (i) => (await i.decode(), [i.src, i.naturalWidth])"
        )
        return address.partition(",")[0], width


def study_of(model: Path, folder: Path) -> Study:
    rows = [
        {"instruction": f"What is {n} + {n}?", "answer": str(2 * n), "none": str(2 * n)}
        for n in (10, 11)
    ]
    (folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    mine = {"source": "files", "path": str(folder / "mine.jsonl"), "family": "math"}
    settings: dict[str, Any] = {
        "name": "clicked",
        "models": [{"id": str(model), "name": "small"}],
        "benchmarks": [CLICKED, {"name": FILLED} | mine, {"name": WATCHED} | mine],
        "sample": 2,
        "sampling": "first",
        "protocol": {"preset": "standard", "max_length": 4096},
    }
    return Study.model_validate(settings)


@pytest.fixture(scope="module")
def workspace(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace where two benchmarks have their examples, and nothing else was computed."""
    folder = tmp_path_factory.mktemp("ui")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADPIPE_HOME", str(folder / "workspace"))
        patch.setenv("DAGSTER_HOME", "")
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.delenv("GRADPIPE_POSTGRES_URL", raising=False)
        current, study = Workspace.current(), study_of(small_model, folder)
        current.keep_study(study)
        with open_instance(current) as instance:
            sync_partitions(instance, study)
            for benchmark in (FILLED, WATCHED):
                materialize_here(instance, DATA, benchmark)
        yield current


def materialize_here(
    instance: dg.DagsterInstance,
    stages: tuple[str, ...],
    partition: str,
    accelerator: Accelerator | None = None,
) -> dg.ExecuteInProcessResult:
    """As `gradpipe run` does, in this process."""
    return dg.materialize(
        ASSETS,
        selection=list(stages),
        partition_key=partition,
        instance=instance,
        resources=resources(accelerator or Accelerator()),
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield chromium.new_page(viewport={"width": 2000, "height": 1000})
        chromium.close()


@pytest.fixture(scope="module")
def ui(workspace: Workspace, page: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """`gradpipe ui`, for all tests of this module, once it shows assets."""
    log = tmp_path_factory.mktemp("log") / "ui"
    with serving([*COMMAND, "ui"], log) as served:
        yield Ui(served.address, page)


@pytest.fixture(scope="module")
def clicked(ui: Ui) -> Ui:
    """The UI after one benchmark, its gradients and the report were made by clicking."""
    ui.materialize(DATA, CLICKED)
    ui.materialize(CELL, CLICKED, "small")
    ui.materialize(("report",))
    return ui


def made(stage: str) -> list[tuple[str, int]]:
    """(partition, rows or partitions computed) of a stage's materializations, oldest first."""
    with open_instance(Workspace.current()) as instance:
        found = instance.fetch_materializations(dg.AssetKey(stage), limit=1000, ascending=True)
    events: list[Any] = [record.asset_materialization for record in found.records]
    return [(event.partition or "", event.metadata["computed"].value) for event in events]


def test_the_lineage_shows_the_five_stages_with_their_kinds_and_no_dialog(ui: Ui) -> None:
    page = ui.open("/asset-groups")
    nodes = page.locator("svg foreignObject")
    nodes.first.wait_for()
    for stage, kinds in KINDS.items():
        node = nodes.filter(has_text="Latest event").filter(has=page.get_by_text(stage, exact=True))
        node.wait_for()
        shown: str = node.text_content()
        assert [kind for kind in kinds if kind not in shown] == []
    assert page.get_by_role("dialog").count() == 0
    assert ui.complaints == []


def test_it_and_its_processes_listen_to_this_machine_alone(ui: Ui) -> None:
    serving = [
        process
        for process in psutil.Process().children(recursive=True)
        if "dagster" in " ".join(process.cmdline())
    ]
    listening = [
        connection.laddr.ip
        for process in serving
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    # The webserver; code servers and the daemon speak through sockets in files.
    assert listening == ["127.0.0.1"]
    assert len(serving) >= 4


def test_the_catalog_describes_every_stage(ui: Ui) -> None:
    page = ui.open("/assets")
    for stage in STAGES:
        first = next(iter(stage.asset.descriptions_by_key.values())).partition("\n")[0]
        page.get_by_text(first).first.wait_for()


@pytest.mark.slow
def test_a_partition_made_by_clicking_shows_its_numbers(clicked: Ui) -> None:
    clicked.open(f"/assets/gradient_spectra?view=partitions&partition={CLICKED}%7Csmall")
    shown = clicked.metadata()
    assert (shown["dagster/row_count"], shown["computed"], shown["reused"]) == ("4", "4", "0")
    assert float(shown["tokens_per_second"]) > 0
    assert clicked.complaints == []


@pytest.mark.slow
def test_its_checks_are_shown_as_passed_with_what_they_found(clicked: Ui) -> None:
    page = clicked.open("/assets/gradient_spectra?view=checks")
    checks, passed = (
        assets.gradient_spectra.SPECTRA_CHECKS,
        page.get_by_text("Succeeded", exact=True),
    )
    for check in checks:
        page.get_by_text(check.name, exact=True).first.wait_for()
    until(lambda: passed.count() == len(checks), "every check to have passed")
    page.get_by_text("0 matrices and 0 losses are not finite.").wait_for()
    page.get_by_text(f"{CLICKED}|small", exact=True).wait_for()


@pytest.mark.slow
def test_its_statistics_show_their_curves(clicked: Ui) -> None:
    clicked.open(f"/assets/spectral_statistics?view=partitions&partition={CLICKED}%7Csmall")
    shown = clicked.metadata()
    assert shown["layers"] == "3"
    kind, width = clicked.picture()
    assert kind == "data:image/svg+xml;base64"
    assert width > 0


@pytest.mark.slow
def test_the_report_made_by_clicking_shows_its_page_rows_and_curves(clicked: Ui) -> None:
    clicked.open("/assets/report?view=events")
    shown = clicked.metadata()
    report = Workspace.current().report_page
    with urllib.request.urlopen(shown["page"], timeout=60) as answer:
        assert answer.read() == report.read_bytes()
    assert "mean_response_tokens" in shown["rows"]
    assert shown["excluded_partitions"] == f"small × {FILLED}, small × {WATCHED}"
    _, width = clicked.picture()
    assert width > 0
    assert clicked.complaints == []


@pytest.mark.slow
def test_the_same_partition_made_again_computes_nothing(clicked: Ui) -> None:
    before = {stage: len(made(stage)) for stage in CELL}
    clicked.materialize(CELL, CLICKED, "small")
    for stage in CELL:
        assert made(stage)[before[stage] :] == [(f"{CLICKED}|small", 0)]


def test_a_run_shows_how_far_it_is_while_it_computes(
    ui: Ui, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Event()

    def hold(_model: str, _benchmark: str, progress: Progress) -> None:
        assert progress.rows < 2 or seen.wait(300)

    def run() -> dg.ExecuteInProcessResult:
        with open_instance(Workspace.current()) as instance:
            cell = partition_key(Partition(model="small", benchmark=WATCHED))
            return materialize_here(instance, CELL[:1], cell, Accelerator(hold))

    monkeypatch.setattr(assets.resources, "LOG_INTERVAL", 0.0)
    monkeypatch.setattr(gradpipe.gradients.passes.batches, "CPU_BUDGET", 1)
    before = ui.runs()
    with ThreadPoolExecutor(1) as pool:
        running: Future[dg.ExecuteInProcessResult] = pool.submit(run)
        try:
            number = ui.new_run(before)
            page = ui.open(f"/runs/{number}")
            line = page.get_by_text("1 of 4 rows").first
            until(lambda: running.done() or line.is_visible(), "the first row's line")
            assert not running.done(), running.exception()
            page.get_by_text("ASSET_OBSERVATION").first.wait_for()
            assert ui.runs()[number] == "STARTED"
        finally:
            seen.set()
        assert running.result().success


@pytest.mark.slow
def test_a_backfill_from_the_command_line_computes_only_what_is_missing(clicked: Ui) -> None:
    before, runs = len(made("gradient_spectra")), clicked.runs()
    workspace = Workspace.current()
    cells = [f"{CLICKED}|small", f"{FILLED}|small"]
    target = ["-m", "definitions", "--working-directory", str(ROOT), "-j", "model_gradients"]
    which = ["--partitions", ",".join(cells), "--noprompt"]
    subprocess.run(
        [sys.executable, "-m", "dagster", "job", "backfill", *target, *which],
        cwd=workspace.dagster_home,
        env=os.environ | {"DAGSTER_HOME": str(workspace.dagster_home)},
        check=True,
        timeout=300,
    )

    def new_runs() -> set[str] | None:
        new = clicked.runs().keys() - runs.keys()
        return new if len(new) == len(cells) else None

    for run in until(new_runs, "the daemon to launch the backfill"):
        clicked.success_of(run)
    assert dict(made("gradient_spectra")[before:]) == {cells[0]: 0, cells[1]: 4}


@pytest.mark.slow
def test_with_automation_on_an_added_model_gets_its_column_and_the_report_with_no_further_hand(
    clicked: Ui, other_model: Path
) -> None:
    workspace = Workspace.current()
    study = workspace.study()
    only_clicked = {"automation": True, "benchmarks": (study.benchmark(CLICKED),)}
    workspace.keep_study(study.model_copy(update=only_clicked))
    before = len(made("gradient_spectra"))
    added = [*COMMAND, "models", "add", str(other_model), "--name", "other"]
    subprocess.run(added, check=True, timeout=300)
    until(lambda: '"other"' in workspace.report_page.read_text(), "the other model in the report")
    assert made("gradient_spectra")[before:] == [(f"{CLICKED}|other", 4)]
    until(lambda: set(clicked.runs().values()) == {"SUCCESS"}, "every run to end well", 60)
