"""The store's server goes away: before a run, in its midst, for a moment and for good."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import Bench, assert_a_clear_stop
from tests.faults.proxy import Proxy
from tests.faults.runs import Ended, Run
from tests.faults.tables import assert_nothing_twice, assert_same, tables_of, workspace_at

pytestmark = pytest.mark.slow
UNREACHED = "cannot be reached"


@pytest.fixture
def proxy(s3_server: str) -> Iterator[Proxy]:
    """The way to the bucket's server."""
    proxy = Proxy(s3_server)
    yield proxy
    proxy.close()


class Bucket:
    """A workspace in a bucket behind the proxy, and runs on it."""

    def __init__(self, bench: Bench, url: str, environment: dict[str, str], folder: Path) -> None:
        self.bench, self.url, self.folder = bench, url, folder
        self.environment = environment | {
            "XDG_DATA_HOME": str(folder / "data"),
            "AWS_MAX_ATTEMPTS": "2",
        }

    def begin(self) -> Run:
        return self.bench.begin(
            self.url, notes=self.folder / "notes", environment=self.environment, change="no-waits"
        )

    def assert_whole(self) -> None:
        """As the uninterrupted run's, but for the report's files, which are not read from here."""
        found = workspace_at(self.url)
        expected = {n: frame for n, frame in self.bench.tables.items() if "report " not in n}
        assert_same(tables_of(found), expected)
        assert_nothing_twice(found)

    def finish(self) -> Ended:
        ended = self.begin().end()
        assert ended.code == 0, ended.errors
        self.assert_whole()
        return ended


@pytest.fixture
def bucket(
    bench: Bench, s3: str, s3_environment: dict[str, str], proxy: Proxy, tmp_path: Path
) -> Bucket:
    """A workspace in a bucket that nobody used."""
    return Bucket(bench, s3, s3_environment | {"AWS_ENDPOINT_URL": proxy.url}, tmp_path)


def until_stage(run: Run, stage: str) -> None:
    while run.process.is_alive() and not any(what.startswith(stage) for _, what in run.marks()):
        run.process.join(0.01)


def test_a_store_that_is_gone_stops_a_run_before_anything_is_done(
    bucket: Bucket, proxy: Proxy
) -> None:
    proxy.close()
    assert_a_clear_stop(bucket.begin().end(), UNREACHED)
    proxy.open()
    bucket.finish()


def test_a_store_that_is_gone_for_a_moment_is_waited_for(bucket: Bucket, proxy: Proxy) -> None:
    run = bucket.begin()
    until_stage(run, "gradient_spectra")
    run.process.join(0.5)
    proxy.close()
    run.process.join(1.5)
    proxy.open()
    ended = run.end()
    assert ended.code == 0, ended.errors
    bucket.assert_whole()


def test_a_store_that_is_gone_for_good_stops_a_run_and_the_next_one_goes_on(
    bucket: Bucket, proxy: Proxy
) -> None:
    moments = random.Random(8)
    before = -1
    for stage in ("responses", "gradient_spectra", "gradient_spectra", "report"):
        run = bucket.begin()
        until_stage(run, stage)
        run.process.join(moments.uniform(0.1, 1))
        proxy.close()
        ended = run.end()
        assert_a_clear_stop(ended, UNREACHED)
        proxy.open()
        kept = bucket.bench.tables["spectra small × mini_maths"].height - lacking(bucket)
        assert kept >= before
        before = kept
    assert before > 0
    bucket.finish()


def lacking(bucket: Bucket) -> int:
    keys = bucket.bench.tables["spectra small × mini_maths"]["key"]
    return len(workspace_at(bucket.url).spectra("small", "mini_maths").missing(keys))


def test_a_store_that_hangs_up_in_mid_answer_leaves_nothing_half(
    bucket: Bucket, proxy: Proxy
) -> None:
    sizes = random.Random(9)
    stopped = 0
    for _ in range(8):
        proxy.open()
        proxy.hang_up_after(sizes.randrange(20_000, 900_000))
        ended = bucket.begin().end()
        if ended.code == 0:
            break
        assert_a_clear_stop(ended, UNREACHED, "cannot be read", "cannot be written")
        stopped += 1
    assert stopped
    proxy.open()
    bucket.finish()
