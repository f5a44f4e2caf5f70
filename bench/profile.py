"""Time by operator, of ours and of the bare passes in the same batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import polars as pl

from bench.bare import bare_passes
from bench.data import spread
from bench.ours import batches_of, our_rows
from bench.settings import Settings
from gradpipe.gradients.tokens import TokenRow

if TYPE_CHECKING:
    from gradpipe.models.load import LoadedModel

#: Number of rows to profile, spread over the lengths.
ROWS = 4
#: Number of operators listed per method.
TOP = 8
#: One row per operator and method: its self time summed over the calling threads, in seconds (of
#: the device if there is one), its share of the method's total, and its number of calls.
OPERATORS = pl.Schema(
    {
        "case": pl.String(),
        "method": pl.String(),
        "operator": pl.String(),
        "seconds": pl.Float64(),
        "share": pl.Float64(),
        "calls": pl.Int64(),
    }
)


def profile_style(
    loaded: LoadedModel, style: str, rows: list[TokenRow], settings: Settings
) -> pl.DataFrame:
    """Profile both methods on a few of one style's rows (OPERATORS)."""
    some = [rows[number] for number in spread(rows, ROWS)]
    batches = batches_of(our_rows(loaded, some, settings.budget))
    bare_passes(loaded.model, some, batches)
    return pl.concat(
        [
            _operators(style, "ours", lambda: our_rows(loaded, some, settings.budget)),
            _operators(style, "bare", lambda: bare_passes(loaded.model, some, batches)),
        ]
    )


def top_operators(operators: pl.DataFrame) -> pl.DataFrame:
    """The operators of each method that take the most time."""
    return operators.group_by("case", "method", maintain_order=True).head(TOP)


def _operators(style: str, method: str, work: Callable[[], Any]) -> pl.DataFrame:
    import torch
    from torch.profiler import ProfilerActivity, profile

    cuda = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * cuda
    # Spectra are computed on other threads, which a profile excludes by default.
    every_thread = torch._C._profiler._ExperimentalConfig(profile_all_threads=True)
    with profile(activities=activities, experimental_config=every_thread) as profiled:
        work()
    records = [
        {
            "case": style,
            "method": method,
            "operator": event.key,
            "seconds": (event.self_device_time_total if cuda else event.self_cpu_time_total) / 1e6,
            "calls": event.count,
        }
        for event in profiled.key_averages()
    ]
    return (
        pl.DataFrame(records, schema={k: t for k, t in OPERATORS.items() if k != "share"})
        .with_columns(share=pl.col("seconds") / pl.col("seconds").sum())
        .sort("seconds", descending=True)
        .match_to_schema(OPERATORS)
    )
