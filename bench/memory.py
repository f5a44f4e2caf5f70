"""Each method's own peak memory: a fresh process for every method and case.

Run as a program, this module is that process: it takes one JSON object and prints another.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from bench.bare import bare_passes
from bench.data import by_length, encode_style, find_source
from bench.layer import SHAPES, distinct_row, random_model
from bench.naive import naive_rows
from bench.ours import batches_of, our_rows
from bench.peaks import PeakMemory
from bench.settings import Say, Settings
from gradpipe.errors import DataError
from gradpipe.gradients.passes.memory import trim_heap

if TYPE_CHECKING:
    from gradpipe.gradients.tokens import TokenRow
    from gradpipe.models.load import LoadedModel

#: ``alone`` is ours on the naive method's one row: what batching costs is what lies between.
METHODS = ("ours", "bare", "naive", "alone")
#: One row a (case, method): the process's peak while the method ran, and how much of that came on
#: top of the loaded model, in bytes.
PEAKS = pl.Schema(
    {"case": pl.String(), "method": pl.String(), "peak": pl.Int64(), "above": pl.Int64()}
)


def measure_case(case: str, settings: Settings, say: Say) -> pl.DataFrame:
    """The peaks (PEAKS) of every method on one case: a style's rows, or a shape's one layer.

    The bare passes take the batches that ours chose; the naive method its longest row alone, which
    is what sets the peak of one that takes row by row.
    """
    asked: dict[str, Any] = {
        "case": case,
        "model": settings.model,
        "data": None if settings.data is None else str(settings.data),
        "rows": settings.rows,
        "budget": settings.budget,
        "tokens": settings.tokens,
        "batches": None,
    }
    records = []
    for method in METHODS:
        found = in_fresh_process(asked | {"method": method})
        asked["batches"] = asked["batches"] or found["batches"]
        say(f"{case}: {method} peaks at {found['peak'] / 1e6:.0f} MB")
        records.append({"case": case, "method": method} | found)
    return pl.DataFrame(records, schema=PEAKS)


def summarize_memory(peaks: pl.DataFrame) -> pl.DataFrame:
    """One row a case: each method's peak and what of it is above the model, and ours over naive."""
    wide = peaks.pivot("method", index="case", values=["peak", "above"])
    return wide.with_columns(over_naive=pl.col("peak_ours") / pl.col("peak_naive"))


def in_fresh_process(asked: dict[str, Any]) -> dict[str, Any]:
    """As ``peak_of``, in a process that has done nothing else; raises DataError where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.memory", json.dumps(asked)],
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise DataError(
            f"The memory of {asked['method']} on {asked['case']} cannot be measured: {said[-1]}"
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def peak_of(asked: dict[str, Any]) -> dict[str, Any]:
    """The peak of one method on one case, in this process; of ours, its batches too."""
    loaded, rows = _load(asked)
    longest = rows[by_length(rows)[-1]]
    # What loading left behind belongs to no method.
    trim_heap()
    memory = PeakMemory(loaded)
    batches = None
    if asked["method"] == "ours":
        batches = batches_of(our_rows(loaded, rows, asked["budget"]))
    elif asked["method"] == "bare":
        bare_passes(loaded.model, rows, asked["batches"])
    elif asked["method"] == "naive":
        naive_rows(loaded.model, [longest])
    else:
        our_rows(loaded, [longest], asked["budget"])
    peak = memory.peak()
    return {"peak": peak, "above": peak - memory.before, "batches": batches}


def _load(asked: dict[str, Any]) -> tuple[LoadedModel, list[TokenRow]]:
    if asked["case"] in SHAPES:
        tokens = asked["tokens"]
        return random_model(asked["case"], tokens), [distinct_row(tokens)]
    from gradpipe.models.load import load_model

    source = find_source(None if asked["data"] is None else Path(asked["data"]))
    loaded = load_model(asked["model"])
    return loaded, encode_style(loaded, source, asked["case"], asked["rows"])


if __name__ == "__main__":
    print(json.dumps(peak_of(json.loads(sys.argv[1]))))
