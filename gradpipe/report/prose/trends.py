"""How claims change along training, in sentences: one finding per claim and series."""

import math
from dataclasses import dataclass
from typing import Any

import polars as pl

from gradpipe.report import style
from gradpipe.report.prose.phrases import (
    count_text,
    interval_text,
    join_words,
    ratio_text,
    sentence_start,
    short_number,
)
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.steps import (
    MOST_CLAIM_STEPS,
    MOST_DRAWN_STEPS,
    MOST_HEATMAP_STEPS,
    detailed_models,
    evenly_spaced,
)
from gradpipe.report.tables.table import LEAST_P
from gradpipe.report.tables.trends import in_order_of_claims

#: A trend is named if its corrected p-value is below this.
_SIGNIFICANT = 0.05
#: A sentence names at most this many steps with detail.
_MOST_NAMED = 12


@dataclass(frozen=True, kw_only=True)
class TrendFinding:
    """How the ratio of a claim changes along a series: "rises", "falls" or "no trend"."""

    series: str
    statement: str
    trend: str
    sentences: str


def trend_findings(inputs: ReportInputs) -> list[TrendFinding]:
    """One finding per claim and series with a trend, series by series."""
    rows = in_order_of_claims(inputs.trends, inputs.claims).to_dicts()
    extents = {
        series: (part["step"].min(), part["step"].max())
        for (series,), part in inputs.claim_steps.group_by("series")
    }
    return [
        TrendFinding(
            series=row["series"],
            statement=sentence_start(row["statement"]),
            trend=trend_of(row),
            sentences=_sentences(row, extents.get(row["series"])),
        )
        for row in rows
    ]


def trend_of(row: dict[str, Any]) -> str:
    """ "rises" or "falls" if the interval of the change excludes 1 and its corrected p is small."""
    sure = row["p_adjusted"] is not None and row["p_adjusted"] < _SIGNIFICANT
    if sure and row["change_low"] > 1:
        return "rises"
    return "falls" if sure and row["change_high"] < 1 else "no trend"


def step_notes(inputs: ReportInputs) -> list[str]:
    """What the page says about each series: its steps, and which of them have detail."""
    models = inputs.curves.get_column("model").unique(maintain_order=True).to_list()
    detailed = set(detailed_models(models, inputs.steps))
    notes = []
    present = inputs.steps.filter(pl.col("model").is_in(models))
    for (series,), part in present.sort("step").group_by("series", maintain_order=True):
        steps = part["step"].to_list()
        first, last = (_step(step) for step in (steps[0], steps[-1]))
        note = f"{series}: {count_text(len(steps), 'checkpoint')}, steps {first} to {last}."
        shown = part.filter(pl.col("model").is_in(list(detailed)))["step"].to_list()
        if len(shown) < len(steps):
            named = join_words([_step(step) for step in shown[:_MOST_NAMED]])
            left_out = [_step(step) for step in steps if step not in shown]
            others = left_out[:_MOST_NAMED]
            if len(left_out) > len(others):
                others.append(f"{len(left_out) - len(others)} more")
            note += (
                f" Curves by layer, examples and image files of single models are shown for steps "
                f"{named}; controls for length, discrimination, cosines, sets and spans are "
                "computed for these only. The files curves.csv, mad.csv and rd.csv have every step."
                f" Left out are steps {join_words(others)}: to see one of them in detail, list it "
                "in the study as a model of its own."
            )
        if len(steps) > MOST_HEATMAP_STEPS:
            note += (
                f" Charts over steps draw at most {MOST_DRAWN_STEPS} of them, evenly spaced, and "
                f"heatmaps at most {MOST_HEATMAP_STEPS}; statistics_by_step.csv has all."
            )
        if len(steps) > len(evenly_spaced(steps, MOST_CLAIM_STEPS)):
            note += f" Claims are measured at {MOST_CLAIM_STEPS} evenly spaced steps."
        notes.append(note)
    return notes


def headline_note(inputs: ReportInputs) -> str | None:
    """Which checkpoints the verdicts count; None without a series."""
    if inputs.steps.is_empty():
        return None
    return (
        "Checkpoints of one training run are nearly copies of one another, so they are not counted "
        "as models: of each series the verdicts are about the last step, and the base at step 0."
    )


def _sentences(row: dict[str, Any], extent: tuple[Any, Any] | None) -> str:
    moves = {"rises": "rises", "falls": "falls", "no trend": "shows no trend"}[trend_of(row)]
    steps = f"{count_text(row['steps'], 'checkpoint')}"
    if extent is not None:
        steps += f", steps {_step(extent[0])} to {_step(extent[1])}"
    change = interval_text(row["change"], row["change_low"], row["change_high"])
    return (
        f"The ratio {moves} along {row['series']} ({steps}): {_ratio(row['first'])} at the first "
        f"and {_ratio(row['last'])} at the last step. On the line through all of them it becomes "
        f"{ratio_text(row['change'])} ({change}; p {_p(row['p'])}; corrected for all trends, "
        f"p {_p(row['p_adjusted'])}). {_tau(row)} {_emergence(row)}"
    )


def _tau(row: dict[str, Any]) -> str:
    if row["tau"] is None or not math.isfinite(row["tau"]):
        return "Kendall’s τ is not defined."
    sign = f"{row['tau']:+.2f}".replace("-", "−")
    return f"Kendall’s τ = {sign}, p {_p(row['tau_p'])}."


def _emergence(row: dict[str, Any]) -> str:
    low, high = (
        "never" if row[end] is None else f"step {_step(row[end])}"
        for end in ("emerges_low", "emerges_high")
    )
    interval = f"95 % interval: {low}" + ("" if low == high else f" to {high}")
    if row["emerges"] is None:
        return f"The claim does not hold at the last step ({interval})."
    return f"The claim holds from step {_step(row['emerges'])} on ({interval})."


def _ratio(value: float) -> str:
    return short_number(value) if math.isfinite(value) else "–"


def _p(p: float | None) -> str:
    if p is None or not math.isfinite(p):
        return "not known"
    return f"< {LEAST_P}" if p < LEAST_P else f"= {style.number(p)}"


def _step(step: float) -> str:
    return f"{step:,.10g}".replace(",", "\u202f")
