"""Two actors of a local Ray cluster: the same rows, whoever dies or stops on the way."""

import importlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

import gradpipe.engines.cluster
import gradpipe.engines.shards
from gradpipe.engines.cluster import RayEngine
from gradpipe.engines.local import extract_here
from gradpipe.engines.settings import RayConfig
from gradpipe.errors import DataError, GradpipeError, WorkspaceError
from gradpipe.gradients.rows import Progress
from gradpipe.models.load import load_model
from storage.row_store import RowStore
from tests.engines.conftest import ROWS, MakeWork, examples


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    """Two actors on a cluster that is started for these tests and ends with them."""
    patch = pytest.MonkeyPatch()
    patch.delenv("RAY_ADDRESS", raising=False)
    # As in a process that was on another cluster before.
    importlib.import_module("ray")
    # Small shards, so that few rows are many of them.
    patch.setattr(gradpipe.engines.shards, "SHARD_TOKENS", 500)
    engine = RayEngine(RayConfig(actors=2))
    yield engine
    engine.close()
    patch.undo()
    import ray

    assert not ray.is_initialized()


def slow(store: RowStore) -> Callable[[pl.DataFrame], None]:
    """An append that leaves time to do something in between."""

    def append(rows: pl.DataFrame) -> None:
        time.sleep(0.05)
        store.append(rows)

    return append


def read(store: RowStore) -> pl.DataFrame:
    return store.scan().collect().sort(pl.col("key").str.slice(1).cast(pl.Int64))


def assert_same(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    """Equal but for rounding, which depends on the rows that share a batch."""
    exact = ["key", "tokens", "response_tokens", "truncated", "reason"]
    assert found.select(exact).equals(expected.select(exact))
    flat = [
        frame.select("key", "loss", "matrices").explode("matrices").unnest("matrices")
        for frame in (found, expected)
    ]
    same = [frame.select("key", "layer", "projection") for frame in flat]
    assert same[0].equals(same[1])
    for column in ("loss", "frobenius_norm"):
        left, right = (frame[column].drop_nulls() for frame in flat)
        assert ((left - right).abs() <= 1e-5 * right.abs()).all()
    left, right = (frame["singular_values"].drop_nulls() for frame in flat)
    far = (left.explode() - right.explode()).abs()
    assert (far <= 1e-5 * right.list.max().repeat_by(right.list.len()).explode()).all()


@pytest.mark.slow
def test_it_listens_to_this_machine_alone(engine: RayEngine) -> None:
    import ray

    assert [node["NodeManagerAddress"] for node in ray.nodes()] == ["127.0.0.1"]


def test_two_actors_give_the_rows_of_the_local_engine(
    engine: RayEngine, make_work: MakeWork
) -> None:
    told: list[Progress] = []
    work, store = make_work(report=told.append)
    engine.extract(work)
    assert len(set(engine.processes)) == 2
    assert os.getpid() not in engine.processes
    kept: list[pl.DataFrame] = []
    extract_here(load_model(work.source.id), replace(work, append=kept.append))
    expected = pl.concat(kept).select(list(store.schema))
    assert_same(read(store), expected.sort(pl.col("key").str.slice(1).cast(pl.Int64)))
    assert (told[0].rows, told[0].tokens) == (0, 0)
    usable = expected.filter(pl.col("reason").is_null())
    assert (told[1].all_rows, told[-1].rows) == (ROWS, ROWS)
    assert told[-1].tokens == told[-1].all_tokens == usable["tokens"].sum()


def test_the_rows_of_an_actor_that_is_killed_half_way_are_done_by_another(
    engine: RayEngine, make_work: MakeWork
) -> None:
    killed: list[int] = []

    def kill_one(progress: Progress) -> None:
        if progress.rows > ROWS // 3 and not killed:
            killed.append(engine.processes[0])
            os.kill(killed[0], signal.SIGKILL)

    work, store = make_work(report=kill_one)
    engine.extract(replace(work, append=slow(store)))
    assert killed
    assert killed[0] not in engine.processes
    assert read(store)["key"].to_list() == work.examples["key"].to_list()
    assert read(store)["loss"].null_count() == 1


@pytest.mark.slow
def test_a_run_that_is_stopped_ends_its_actors_and_goes_on_where_it_stopped(
    engine: RayEngine, make_work: MakeWork
) -> None:
    def stop(progress: Progress) -> None:
        if progress.rows > ROWS // 3:
            raise KeyboardInterrupt

    work, store = make_work(report=stop)
    before = engine.processes
    with pytest.raises(KeyboardInterrupt):
        engine.extract(replace(work, append=slow(store)))
    assert engine.processes == []
    until = time.monotonic() + 300
    while any(map(is_running, before)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(map(is_running, before))
    missing = store.missing(work.examples["key"])
    assert 0 < len(missing) < ROWS

    told: list[Progress] = []
    rest = work.examples.filter(pl.col("key").is_in(missing))
    engine.extract(replace(work, examples=rest, report=told.append))
    assert told[-1].rows == told[-1].all_rows == len(missing)
    assert read(store)["key"].to_list() == work.examples["key"].to_list()
    parts = pl.concat(pl.read_parquet(part, columns=["key"]) for part in store.parts())
    assert parts["key"].is_unique().all()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_row_that_ends_its_actors_is_named_when_all_others_are_done(
    engine: RayEngine, make_work: MakeWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradpipe.engines.shards, "STRIKES", 2)
    work, store = make_work(examples=examples(40))

    def poisoned(rows: pl.DataFrame) -> None:
        if "k11" in rows["key"].to_list():
            os.kill(os.getpid(), signal.SIGKILL)
        store.append(rows)

    with pytest.raises(GradpipeError, match="1 of 40 rows killed every actor .*sums 11 none"):
        engine.extract(replace(work, append=poisoned))
    assert store.missing(work.examples["key"]) == ["k11"]


@pytest.mark.slow
def test_what_an_actor_cannot_do_is_said_as_it_says_it(
    engine: RayEngine, make_work: MakeWork
) -> None:
    def full(_: pl.DataFrame) -> None:
        raise WorkspaceError("The disk is full: delete something.")

    work, _ = make_work(append=full)
    with pytest.raises(WorkspaceError) as caught:
        engine.extract(work)
    assert str(caught.value) == "The disk is full: delete something."


@pytest.mark.slow
def test_rows_that_are_not_seen_from_here_stop_the_run_early(
    engine: RayEngine, make_work: MakeWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradpipe.engines.cluster, "VISIBILITY_TIMEOUT", 0.0)
    told: list[Progress] = []
    work, _ = make_work(append=lambda _: None, report=told.append)
    with pytest.raises(WorkspaceError, match="all machines share"):
        engine.extract(work)
    assert told[-1].rows < ROWS


def test_examples_that_the_protocol_refuses_start_no_actor(
    engine: RayEngine, make_work: MakeWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_crew(*_: Any) -> Any:
        raise AssertionError("actors were started")

    monkeypatch.setattr(gradpipe.engines.cluster, "Crew", no_crew)
    overlong = examples(3).with_columns(response=pl.lit("x" * 5000))
    work, _ = make_work(examples=overlong)
    with pytest.raises(DataError, match="longer than the window"):
        engine.extract(work)


def test_no_rows_need_no_actor(engine: RayEngine, make_work: MakeWork) -> None:
    work, store = make_work(examples=examples(0))
    engine.extract(work)
    assert store.parts() == []
