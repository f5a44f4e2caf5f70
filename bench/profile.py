"""Where the time goes, operator by operator: ours and the bare passes in the same batches."""

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

#: Rows that are profiled, spread over the lengths: every operator called is a record.
ROWS = 4
#: Operators listed of each method.
TOP = 8
#: One row an operator of one method: its own time summed over the threads that called it, in
#: seconds (the device's where there is one), its share of the method's sum, and its calls.
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
    """Every operator (OPERATORS) of both methods on a few of one style's rows."""
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
    """The dearest operators of each method."""
    return operators.group_by("case", "method", maintain_order=True).head(TOP)


def _operators(style: str, method: str, work: Callable[[], Any]) -> pl.DataFrame:
    import torch
    from torch.profiler import ProfilerActivity, profile

    cuda = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * cuda
    # Spectra are taken on threads of their own, which a profile overlooks unless told.
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
