"""How far a long extraction is: what Dagster is told of it, and the model that stays loaded."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import assets.gradient_spectra
import assets.resources
import gradpipe.gradients.passes.batches
from assets.resources import Accelerator
from assets.running.instance import open_instance
from gradpipe.errors import ModelError
from gradpipe.gradients.rows import Progress
from gradpipe.models.fingerprint import fingerprint
from gradpipe.models.source import ModelSource
from storage.workspace import Workspace
from tests.assets.conftest import ASSETS, finished_study, resources

ROWS = 4


@pytest.fixture
def by_row(done: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace without the rows of a benchmark, where every row is a batch of its own."""
    workspace = Workspace.current()
    workspace.keep_study(finished_study(done))
    workspace.delete_model("small")
    monkeypatch.setattr(gradpipe.gradients.passes.batches, "CPU_BUDGET", 1)
    return done


def extract(told: list[Progress]) -> Sequence[dg.EventLogEntry]:
    """The log of a run that computes the spectra; the listener's list is filled."""
    with open_instance(Workspace.current()) as instance:
        outcome = dg.materialize(
            ASSETS,
            selection=["gradient_spectra"],
            partition_key="mini_obscure|small",
            instance=instance,
            resources=resources(Accelerator(lambda _m, _b, progress: told.append(progress))),
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        return instance.all_logs(outcome.run_id)


def kinds(log: Sequence[dg.EventLogEntry]) -> list[str]:
    return [str(entry.dagster_event_type and entry.dagster_event_type.value) for entry in log]


def observed(log: Sequence[dg.EventLogEntry]) -> list[dict[str, Any]]:
    """The metadata of every observation of that partition."""
    events = [entry.asset_observation for entry in log if entry.asset_observation]
    assert {event.partition for event in events} <= {"mini_obscure|small"}
    return [{name: value.value for name, value in event.metadata.items()} for event in events]


def lines(log: Sequence[dg.EventLogEntry]) -> list[str]:
    return [entry.user_message for entry in log if " rows, " in entry.user_message]


def test_a_long_extraction_is_observed_and_logged_row_by_row_before_it_ends(
    by_row: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets.resources, "LOG_INTERVAL", 0.0)
    told: list[Progress] = []
    log = extract(told)
    numbers = observed(log)
    assert [(made["rows"], made["all_rows"]) for made in numbers] == [
        (n, ROWS) for n in range(ROWS + 1)
    ]
    assert all(made["tokens_per_second"] > 0 for made in numbers[1:])
    assert [line.partition(",")[0] for line in lines(log)] == [
        f"{n} of {ROWS} rows" for n in range(ROWS + 1)
    ]
    order = kinds(log)
    last = len(order) - 1 - order[::-1].index("ASSET_OBSERVATION")
    assert last < order.index("ASSET_MATERIALIZATION")
    assert [progress.rows for progress in told] == list(range(ROWS + 1))


def test_a_short_extraction_says_nothing_of_how_far_it_is(
    by_row: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets.resources, "LOG_INTERVAL", 1e9)
    told: list[Progress] = []
    log = extract(told)
    assert (observed(log), lines(log)) == ([], [])
    assert told[-1].rows == ROWS


def test_where_every_row_is_there_no_progress_is_told(by_row: Path) -> None:
    extract([])
    told: list[Progress] = []
    extract(told)
    assert told == []


def test_weights_that_were_replaced_before_they_were_loaded_are_not_used(
    small_model: Path, other_model: Path
) -> None:
    before, now = (ModelSource("folder", str(folder)) for folder in (small_model, other_model))
    accelerator = Accelerator()
    with pytest.raises(ModelError, match="changed while they were loaded") as refused:
        accelerator.load(now, "small", fingerprint(before), "float32")
    assert refused.value.transient
    loaded = accelerator.load(now, "small", fingerprint(now), "float32")
    assert loaded.fingerprint == fingerprint(now)
