"""What a run did, for people and for programs: rows and seconds per stage, which add up."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from assets.running.outcome import StageCount, StageFailure
from assets.running.run_times import RunTimes


def account_lines(
    counts: Mapping[str, StageCount], times: RunTimes, failures: Sequence[StageFailure]
) -> Iterator[str]:
    """One line per stage, one per other part that took time, their sum, one line per failure."""
    printed = times.rounded(1)
    for name, count in counts.items():
        yield (
            f"{name:<20} {count.computed:>7} computed {count.reused:>7} reused "
            f"{printed.get(name, 0.0):>8.1f} s"
        )
    for name, part in printed.items():
        if name not in counts and part:
            yield f"{name:<20} {part:>40.1f} s"
    yield f"{'in all':<20} {sum(printed.values()):>40.1f} s"
    for failure in failures:
        yield str(failure)


def account_record(
    counts: Mapping[str, StageCount], times: RunTimes, failures: Sequence[StageFailure]
) -> dict[str, Any]:
    """The same as a record, which has ``failed`` if anything failed.

    The seconds of ``stages`` and ``other_seconds`` add up to ``seconds``.
    """
    rounded = times.rounded(3)
    stages = {
        name: {
            "computed": count.computed,
            "reused": count.reused,
            "seconds": rounded.get(name, 0.0),
        }
        for name, count in counts.items()
    }
    record = {
        "stages": stages,
        "other_seconds": {name: part for name, part in rounded.items() if name not in counts},
        "seconds": round(sum(rounded.values()), 3),
    }
    return record | ({"failed": [str(failure) for failure in failures]} if failures else {})
