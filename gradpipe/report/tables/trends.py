"""Tables of claims along training runs."""

import polars as pl

from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.table import ReportTable
from gradpipe.report.tables.verdicts import claims_in_order

_LABELS = {
    "title": "claim",
    "statement": "part",
    "first": "first step",
    "last": "last step",
    "change": "change",
    "change_low": "95 % from",
    "change_high": "to",
    "p_adjusted": "adjusted p",
    "tau": "Kendall’s τ",
    "tau_p": "p of τ",
    "emerges": "emerges at step",
    "emerges_low": "95 % from",
    "emerges_high": "to",
}
_RATIOS = ("first", "last")
_CHANGE = ("change", "change_low", "change_high", "p", "p_adjusted")
_TAU = ("tau", "tau_p")
_EMERGES = ("emerges", "emerges_low", "emerges_high")


def trends_table(inputs: ReportInputs) -> ReportTable:
    """The trend of each part of a claim along each series."""
    frame = in_order_of_claims(inputs.trends, inputs.claims)
    heads = ("title", "statement", "series")
    return ReportTable(
        "trends",
        "Claims along training: the ratio at the first and the last step, its change from first to "
        "last along a line, Kendall’s τ, and the step from which on the claim holds (–: never)",
        frame.select(*heads, "steps", *_RATIOS, *_CHANGE, *_TAU, *_EMERGES),
        heads=3,
        groups=[
            ("checkpoints", 1),
            ("ratio", len(_RATIOS)),
            ("change", len(_CHANGE)),
            ("monotonic trend", len(_TAU)),
            ("step", len(_EMERGES)),
        ],
        labels=_LABELS,
        sections=1,
    )


def claims_by_step(inputs: ReportInputs) -> pl.DataFrame:
    """The ratio and verdict of each claim at each step that was measured, with all columns."""
    named = in_order_of_claims(inputs.claim_steps, inputs.claims)
    return named.select("statement", *inputs.claim_steps.columns)


def in_order_of_claims(table: pl.DataFrame, claims: pl.DataFrame) -> pl.DataFrame:
    """A table with a row per claim and series, with the claims' titles, series by series."""
    named = claims_in_order(claims).select("claim", "group", "title", "statement")
    joined = named.join(table, on="claim", maintain_order="left_right")
    return joined.sort("series", maintain_order=True)
