"""Claims along the training runs of a study: their trends, and their ratios at each step."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from gradpipe.claims.contrasts import Claim
from gradpipe.claims.inference.decisions import holm
from gradpipe.claims.trends import ClaimsInTime, claims_in_time
from gradpipe.report.cell_results import CellResults
from gradpipe.report.report_data import REPORT_CLAIM_STEP_SCHEMA, REPORT_TREND_SCHEMA
from gradpipe.report.steps import MOST_CLAIM_STEPS, thinned


def judge_series(
    cells: Sequence[CellResults], claims: Sequence[Claim], steps: pl.DataFrame, seed: int
) -> ClaimsInTime:
    """The trends of claims along each series (REPORT_TREND_SCHEMA), and their ratios at each step.

    Of each series at most MOST_CLAIM_STEPS evenly spaced steps are measured, since adjacent
    checkpoints say nearly the same. p-values are corrected for all claims and series.
    """
    trends, by_step = [REPORT_TREND_SCHEMA.to_frame()], [REPORT_CLAIM_STEP_SCHEMA.to_frame()]
    for (series,), part in thinned(steps, MOST_CLAIM_STEPS).group_by("series", maintain_order=True):
        at = dict(part.select("model", "step").iter_rows())
        tables = [cell.statistics_with_donors() for cell in cells if cell.model in at]
        found = claims_in_time(tables, at, claims, seed=seed)
        named = pl.lit(series, pl.String).alias("series")
        trends.append(found.trends.with_columns(named, p_adjusted=pl.lit(None, pl.Float64)))
        by_step.append(found.by_step.with_columns(named))
    together = pl.concat([part.select(REPORT_TREND_SCHEMA.names()) for part in trends])
    return ClaimsInTime(
        together.with_columns(holm(pl.col("p")).alias("p_adjusted")),
        pl.concat([part.select(REPORT_CLAIM_STEP_SCHEMA.names()) for part in by_step]),
    )
