"""The peak memory of each method, in a fresh process for every method and case.

Run as a program, this module is that process: it reads one JSON object and prints another.
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

#: ``alone`` is ours on the naive method's single row; the difference from ``ours`` is batching.
METHODS = ("ours", "bare", "naive", "alone")
#: One row per (case, method): the process's peak while the method ran, and its part above the
#: loaded model, in bytes.
PEAKS = pl.Schema(
    {"case": pl.String(), "method": pl.String(), "peak": pl.Int64(), "above": pl.Int64()}
)


def measure_case(case: str, settings: Settings, say: Say) -> pl.DataFrame:
    """Measure the peaks (PEAKS) of every method on one case: a style's rows, or a shape's layer.

    The bare passes use the batches of ours. The naive method takes single rows, so only the longest
    row matters for its peak.
    """
    request: dict[str, Any] = {
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
        result = in_fresh_process(request | {"method": method})
        request["batches"] = request["batches"] or result["batches"]
        say(f"{case}: {method} peaks at {result['peak'] / 1e6:.0f} MB")
        records.append({"case": case, "method": method} | result)
    return pl.DataFrame(records, schema=PEAKS)


def summarize_memory(peaks: pl.DataFrame) -> pl.DataFrame:
    """One row per case: each method's peak, its part above the model, and ours over naive."""
    wide = peaks.pivot("method", index="case", values=["peak", "above"])
    return wide.with_columns(over_naive=pl.col("peak_ours") / pl.col("peak_naive"))


def in_fresh_process(request: dict[str, Any]) -> dict[str, Any]:
    """Call ``peak_of`` in a new process; raises DataError if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.memory", json.dumps(request)],
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        method, case = request["method"], request["case"]
        raise DataError(f"The memory of {method} on {case} cannot be measured: {lines[-1]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def peak_of(request: dict[str, Any]) -> dict[str, Any]:
    """The peak of one method on one case in this process, and the batches of ours."""
    loaded, rows = _load(request)
    longest = rows[by_length(rows)[-1]]
    # Memory that loading left behind belongs to no method.
    trim_heap()
    memory = PeakMemory(loaded)
    batches = None
    if request["method"] == "ours":
        batches = batches_of(our_rows(loaded, rows, request["budget"]))
    elif request["method"] == "bare":
        bare_passes(loaded.model, rows, request["batches"])
    elif request["method"] == "naive":
        naive_rows(loaded.model, [longest])
    else:
        our_rows(loaded, [longest], request["budget"])
    peak = memory.peak()
    return {"peak": peak, "above": peak - memory.before, "batches": batches}


def _load(request: dict[str, Any]) -> tuple[LoadedModel, list[TokenRow]]:
    if request["case"] in SHAPES:
        tokens = request["tokens"]
        return random_model(request["case"], tokens), [distinct_row(tokens)]
    from gradpipe.models.load import load_model

    source = find_source(None if request["data"] is None else Path(request["data"]))
    loaded = load_model(request["model"])
    return loaded, encode_style(loaded, source, request["case"], request["rows"])


if __name__ == "__main__":
    print(json.dumps(peak_of(json.loads(sys.argv[1]))))
