"""A finished workspace to change, and the ways in that bring it up to date again."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.automation import keep_up
from assets.resources import Accelerator, WorkspaceResource
from assets.running.instance import open_instance
from assets.running.runner import Runner
from assets.stages import STAGES
from definitions import defs
from gradpipe.studies.study import Study
from storage.workspace import Workspace
from tests.conftest import one_report, without_images, workspace_of

ASSETS = [stage.asset for stage in STAGES]


class NoAccelerator(Accelerator):
    """Fails the test where a model is loaded."""

    def load(self, *_: Any) -> Any:
        raise AssertionError("a model was loaded")


def resources(accelerator: Accelerator | None = None) -> dict[str, Any]:
    """The resources of the assets, with the current workspace."""
    return {
        "accelerator": accelerator or NoAccelerator(),
        "workspace": WorkspaceResource(),
    }


def run(study: Study) -> None:
    """As `gradpipe run` does."""
    runner = Runner(Workspace.current(), study, Accelerator())
    runner.bring_up_to_date()
    assert not runner.failures


class Daemon:
    """What Dagster's daemon does with the sensor's answers, in this process."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None
        self.results: list[dg.ExecuteInProcessResult] = []

    def tick(self) -> dg.SensorResult:
        """One evaluation of the sensor; partitions are changed, runs carried out one by one."""
        context = dg.build_sensor_context(self.instance, self.cursor, definitions=defs)
        answer = keep_up(context, workspace=WorkspaceResource())
        if isinstance(answer, dg.SkipReason):
            return dg.SensorResult(skip_reason=answer)
        assert isinstance(answer, dg.SensorResult)
        self.cursor = answer.cursor or self.cursor
        for change in answer.dynamic_partitions_requests or ():
            if isinstance(change, dg.AddDynamicPartitionsRequest):
                self.instance.add_dynamic_partitions(
                    change.partitions_def_name, change.partition_keys
                )
            else:
                for key in change.partition_keys:
                    self.instance.delete_dynamic_partition(change.partitions_def_name, key)
        for request in answer.run_requests or ():
            job = defs.resolve_job_def(str(request.job_name))
            outcome = job.execute_in_process(
                partition_key=request.partition_key,
                asset_selection=request.asset_selection,
                instance=self.instance,
                tags={"dagster/run_key": str(request.run_key)},
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=False,
            )
            self.results.append(outcome)
        return answer

    def until_quiet(self) -> None:
        """Ticks until one has nothing to do."""
        for _ in range(50):
            answer = self.tick()
            if not answer.run_requests and not answer.dynamic_partitions_requests:
                return
        raise AssertionError("the sensor never comes to rest")


def automate(study: Study) -> None:
    """As the daemon does with automation on."""
    workspace = Workspace.current()
    workspace.keep_study(study.model_copy(update={"automation": True}))
    with open_instance(workspace) as instance:
        daemon = Daemon(instance)
        daemon.until_quiet()
        assert all(outcome.success for outcome in daemon.results)


class Materialized:
    """The materializations after this object was created: (stage, partition), rows computed."""

    def __init__(self) -> None:
        self._before = self._last()

    @staticmethod
    def _events() -> list[Any]:
        with open_instance(Workspace.current()) as instance:
            return [
                record
                for stage in STAGES
                for record in instance.fetch_materializations(stage.asset.key, limit=1000).records
            ]

    def _last(self) -> int:
        return max((record.storage_id for record in self._events()), default=0)

    def computed(self) -> dict[tuple[str, str], int]:
        """(stage, ``benchmark`` or ``benchmark|model``) → rows or partitions computed."""
        rows: dict[tuple[str, str], int] = {}
        for record in self._events():
            if record.storage_id > self._before:
                made = record.asset_materialization
                stage = made.asset_key.to_user_string()
                key = (stage, made.partition or "")
                assert key not in rows, f"{key} was materialized twice"
                rows[key] = made.metadata["computed"].value
        return rows


def add_items(folder: Path, numbers: range) -> None:
    """Append items to a file of a user's own."""
    rows = [
        {"instruction": f"What is {n} + {n}?", "answer": str(2 * n)}
        | {"none": str(2 * n), "detailed": f"We add {n} and {n}. That makes {2 * n}."}
        for n in numbers
    ]
    with (folder / "mine.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def heavier(source: Path, target: Path) -> None:
    """A copy of a model with other weights."""
    from safetensors.torch import load_file, save_file

    if source != target:
        shutil.copytree(source, target, dirs_exist_ok=True)
    weights = load_file(source / "model.safetensors")
    save_file(
        {name: weight * 1.1 for name, weight in weights.items()},
        target / "model.safetensors",
        {"format": "pt"},
    )


@pytest.fixture(autouse=True)
def _no_images(no_images: None) -> None:
    """No test of these folders looks at images."""


@pytest.fixture(autouse=True)
def no_interim_reports() -> Iterator[None]:
    """A run that takes longer than usual does the same as one that does not."""
    with one_report():
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, small_model: Path) -> Path:
    """A folder with a model, a benchmark file and a workspace that is up to date on both."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(small_model, folder / "model")
    add_items(folder, range(10, 20))
    with workspace_of(folder), without_images(), one_report():
        run(finished_study(folder))
    return folder


def finished_study(folder: Path, **changes: Any) -> Study:
    """The study of that workspace, with some settings changed."""
    mine = {"name": "mine", "source": "files", "path": str(folder / "mine.jsonl"), "family": "math"}
    settings: dict[str, Any] = {
        "name": "changing",
        "models": [{"id": str(folder / "model"), "name": "small"}],
        "benchmarks": [{"name": "mini_obscure", "sample": 2}, mine],
        "sampling": "first",
        "protocol": {"preset": "standard", "max_length": 4096},
        "statistics": ["nuclear_norm", "frobenius_norm"],
    }
    return Study.model_validate(settings | changes)


@pytest.fixture
def done(finished: Path, home: Path) -> Iterator[Path]:
    """The finished folder with a copy of its workspace as the current one; files are put back."""
    shutil.copytree(finished / "workspace", home)
    files = [finished / "mine.jsonl", finished / "model" / "model.safetensors"]
    contents = [file.read_bytes() for file in files]
    yield finished
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)


def killed_process() -> str:
    """The name of a process that was killed."""
    script = (
        "from gradpipe.system.atomic_files import process_name; "
        "print(process_name(), flush=True); input()"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        name = process.stdout.readline().decode().strip()
        process.send_signal(signal.SIGKILL)
    return name
