"""How far length may account for a difference between styles, in sentences."""

import math
from statistics import fmean

import polars as pl

from gradpipe.report import style as look
from gradpipe.report.chart_data import IS_KNOWLEDGE, finite
from gradpipe.report.prose.phrases import counted, listed, short
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.table import where

#: Ways to hold length still, "none" for as measured, and how a sentence begins to tell of each.
_TOLD = {
    "none": "As measured, gradients without chain of thought are",
    "matched": "between responses of matched length",
    "regression": "with length held still by regression",
}


def length_note(inputs: ReportInputs) -> str | None:
    """How long the responses of each style were, and what is left where length is held still.

    None where fewer than two styles of reasoning were used.
    """
    lengths = _mean_lengths(inputs.rows)
    if len(lengths) < 2:
        return None
    styles = look.in_order("style", list(lengths))
    told = [f"{lengths[style]:.0f} tokens ({look.style_label(style)})" for style in styles]
    note = (
        f"Responses also differ in length, on average {listed(told)}. The loss is a mean over "
        "response tokens, which ties the size of a gradient to length: part of a difference "
        "between styles may be one of length."
    )
    return " ".join([note, *_with_length_held(inputs.length)])


def _mean_lengths(rows: pl.DataFrame) -> dict[str, float]:
    """Mean tokens of the correct responses by style, over all models and benchmarks."""
    used = rows.filter(
        pl.col("relevance") == "correct",
        pl.col("mean_response_tokens").is_finite(),
        pl.col("examples") > 0,
        ~IS_KNOWLEDGE,
    )
    tokens = pl.col("mean_response_tokens") * pl.col("examples")
    return dict(used.group_by("style").agg(tokens.sum() / pl.col("examples").sum()).rows())


def _with_length_held(length: pl.DataFrame) -> list[str]:
    """The ratio of none to detailed as measured, and in the same cells with length held still."""
    ratios = (
        length.with_columns(finite("effect"))
        .filter(style="none", against="detailed", quantity="mean")
        .filter(pl.col("effect") > 0)
        .group_by("model", "benchmark", "projection")
        .agg(where(pl.col("effect").log(), control=control).alias(control) for control in _TOLD)
        .drop_nulls("none")
    )
    if ratios.is_empty():
        return []
    held = [
        f"{how} they are {_typical(both, control)} times as large{_beside(both, ratios)}"
        for control, how in list(_TOLD.items())[1:]
        if not (both := ratios.drop_nulls(control)).is_empty()
    ]
    over = f" (geometric mean over {ratios.height} cells)" if ratios.height > 1 else ""
    measured = f"{_TOLD['none']} {_typical(ratios, 'none')} times as large as with a detailed one"
    said = [f"{'; '.join([measured + over, *held])}."]
    if any("regression" in text for text in held):
        said.append("Where the lengths of two styles do not overlap, a regression extrapolates.")
    return said


def _typical(ratios: pl.DataFrame, control: str) -> str:
    """The geometric mean of ratios that are given by their logs."""
    return short(math.exp(fmean(ratios.get_column(control))))


def _beside(both: pl.DataFrame, ratios: pl.DataFrame) -> str:
    """What was measured in the cells that a control has, where those are not all of them."""
    if both.height == ratios.height:
        return ""
    cells = f"{counted(both.height, 'cell')} that {'has' if both.height == 1 else 'have'} such"
    return f" (in the {cells}; {_typical(both, 'none')} as measured there)"
