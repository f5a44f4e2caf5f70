"""A cluster of several machines, played by this one: one of them is taken away half-way."""

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

import gradpipe.engines.shards
from gradpipe.engines.cluster import RayEngine
from gradpipe.engines.settings import RayConfig
from gradpipe.gradients.rows import Progress
from tests.engines.conftest import ROWS, MakeWork

STORE = 100 * 2**20


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head that takes no work, with two machines that each have room for one actor."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    from ray import _private
    from ray.cluster_utils import Cluster

    monkeypatch.setattr(_private.ray_constants, "ENABLE_RAY_CLUSTER", False)
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        cluster.add_node(num_cpus=1, object_store_memory=STORE)
    yield cluster
    cluster.shutdown()


@pytest.mark.slow
def test_the_rows_of_a_machine_that_is_lost_are_done_by_another(
    cluster: Any, make_work: MakeWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradpipe.engines.shards, "SHARD_TOKENS", 500)
    lost: list[int] = []

    def lose_one(progress: Progress) -> None:
        if progress.rows > ROWS // 3 and len(engine.processes) == 2 and not lost:
            lost.extend(engine.processes)
            cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)

    work, store = make_work(report=lose_one)

    def slow(rows: pl.DataFrame) -> None:
        import time

        time.sleep(0.2)
        store.append(rows)

    engine = RayEngine(RayConfig(address=cluster.address))
    try:
        engine.extract(replace(work, append=slow))
        assert lost
        assert len(engine.processes) == 1
    finally:
        engine.close()
    assert os.getpid() not in lost
    assert store.scan().collect().height == ROWS
    assert store.missing(work.examples["key"]) == []
