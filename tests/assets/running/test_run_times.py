"""Times of a run: every second belongs to one part, so that the printed ones add up."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assets.running import run_times
from assets.running.account import account_lines, account_record
from assets.running.outcome import StageCount
from assets.running.run_times import DAGSTER, PLANNING, STARTING, RunTimes, rounded_to_sum


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time now, which a test advances."""
    now = [100.0]
    monkeypatch.setattr(run_times, "perf_counter", lambda: now[0])
    return now


def passed(clock: list[float]) -> RunTimes:
    """5 s before the clock started, 2 s of planning, and 10 s of Dagster with 7 s of a stage."""
    times = RunTimes(5.0)
    times.begin(PLANNING)
    clock[0] += 1.5
    with times.part(DAGSTER):
        clock[0] += 8
        with times.part(PLANNING):
            clock[0] += 0.5
        clock[0] += 2
        times.move(7.04, "extraction")
    return times


def test_a_part_does_not_count_the_parts_inside_it(clock: list[float]) -> None:
    times = passed(clock).rounded(2)
    assert {name: part for name, part in times.items() if part} == {
        STARTING: 5.0,
        PLANNING: 2.0,
        DAGSTER: 2.96,
        "extraction": 7.04,
    }


def test_the_lines_of_a_summary_add_up(clock: list[float]) -> None:
    lines = list(account_lines({"extraction": StageCount(3, 1)}, passed(clock), []))
    assert [line.split()[0] for line in lines] == ["extraction", STARTING, PLANNING, DAGSTER, "in"]
    *parts, total = (float(line.split()[-2]) for line in lines)
    assert sum(parts) == pytest.approx(total) == 17


def test_the_seconds_of_a_record_add_up(clock: list[float]) -> None:
    record = account_record({"extraction": StageCount(3, 1)}, passed(clock), [])
    assert record["stages"] == {"extraction": {"computed": 3, "reused": 1, "seconds": 7.04}}
    others = sum(record["other_seconds"].values())
    assert 7.04 + others == pytest.approx(record["seconds"]) == 17


@example({"": 0.0005}, 3)
@given(
    st.dictionaries(st.text(max_size=2), st.floats(-0.01, 1e5), max_size=12),
    st.integers(0, 3),
)
def test_rounded_parts_add_up_to_the_rounded_sum(seconds: dict[str, float], digits: int) -> None:
    rounded = rounded_to_sum(seconds, digits)
    step = 10**-digits
    assert sum(rounded.values()) == pytest.approx(
        round(sum(seconds.values()), digits), abs=step / 9
    )
    for name, value in seconds.items():
        assert abs(rounded[name] - value) <= step * 1.001
