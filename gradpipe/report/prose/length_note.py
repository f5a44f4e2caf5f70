"""How much of a difference between styles may be due to length, in sentences."""

import math
from statistics import fmean

import polars as pl

from gradpipe.claims.length.matched_styles import LEAST_ANSWER_SHARE
from gradpipe.report import style
from gradpipe.report.chart_data import IS_KNOWLEDGE, finite
from gradpipe.report.prose.phrases import count_text, join_words, short_number
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.table import where

#: The beginning of the clause about each control for length; "none" is the ratio as measured.
_CLAUSES = {
    "none": "As measured, gradients without chain of thought are",
    "matched": "between responses of matched length",
    "regression": "with length controlled by regression",
}
#: What a ratio of padded answers says, by whether they are mostly answer.
_PADDED = {False: "is mostly one of the padding", True: "is mostly one of the answer"}


def length_note(inputs: ReportInputs) -> str | None:
    """The mean length of the responses of each style, and the ratios that control for length.

    None if fewer than two reasoning styles were used.
    """
    lengths = _mean_lengths(inputs.rows)
    if len(lengths) < 2:
        return None
    styles = style.in_order("style", list(lengths))
    means = [f"{lengths[name]:.0f} tokens ({style.style_label(name)})" for name in styles]
    note = (
        f"Responses also differ in length, on average {join_words(means)}. The loss is a mean over "
        "response tokens, which ties the size of a gradient to length: part of a difference "
        "between styles may be due to length."
    )
    return " ".join([note, *_controlled_ratios(inputs.length)])


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


def _controlled_ratios(length: pl.DataFrame) -> list[str]:
    """The ratio of none to detailed as measured, and in the same cells under each control."""
    ratios = (
        length.with_columns(finite("effect"))
        .filter(style="none", against="detailed", quantity="mean")
        .filter(pl.col("effect") > 0)
        .group_by("model", "benchmark", "projection")
        .agg(where(pl.col("effect").log(), control=control).alias(control) for control in _CLAUSES)
        .drop_nulls("none")
    )
    if ratios.is_empty():
        return []
    controlled = [
        f"{clause} they are {_typical(both, control)} times as large{_subset(both, ratios)}"
        for control, clause in list(_CLAUSES.items())[1:]
        if not (both := ratios.drop_nulls(control)).is_empty()
    ]
    cells = f" (geometric mean over {ratios.height} cells)" if ratios.height > 1 else ""
    measured = (
        f"{_CLAUSES['none']} {_typical(ratios, 'none')} times as large as with a detailed one"
    )
    sentences = [f"{'; '.join([measured + cells, *controlled])}."]
    compared = length.filter(style="none", against="detailed", quantity="mean")
    apart = pl.col("how").str.starts_with("lengths do not overlap")
    if not compared.filter(apart, control="regression").is_empty():
        sentences.append("Where the lengths of two styles do not overlap, there is no regression.")
    return [*sentences, *_padding(compared)]


def _padding(compared: pl.DataFrame) -> list[str]:
    """How much of the loss of a padded answer is the answer's, if answers were padded."""
    share = compared.get_column("answer_share").mean()
    if not isinstance(share, float):
        return []
    return [
        f"Of the loss tokens of an answer padded to matched length, {share:.0%} are the answer's: "
        f"the ratio at matched length {_PADDED[share >= LEAST_ANSWER_SHARE]}."
    ]


def _typical(ratios: pl.DataFrame, control: str) -> str:
    """The geometric mean of ratios that are given by their logs."""
    return short_number(math.exp(fmean(ratios.get_column(control))))


def _subset(both: pl.DataFrame, ratios: pl.DataFrame) -> str:
    """The number of cells with a control, and their ratio as measured, if some cells have none."""
    if both.height == ratios.height:
        return ""
    verb = "has" if both.height == 1 else "have"
    cells = f"{count_text(both.height, 'cell')} that {verb} this control"
    return f" (in the {cells}; {_typical(both, 'none')} times as measured there)"
