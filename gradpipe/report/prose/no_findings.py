"""What the first screen says without findings, and of length beside its chart."""

from collections.abc import Sequence

import polars as pl

from gradpipe.claims.inference.bootstrap import MIN_ITEMS
from gradpipe.report.chart_data import distinct
from gradpipe.report.prose.findings import ClaimFinding
from gradpipe.report.prose.headline import Headline
from gradpipe.report.prose.phrases import count_text
from gradpipe.report.report_data import ReportInputs


def no_findings_note(inputs: ReportInputs, found: Sequence[ClaimFinding]) -> str:
    """Why there is no finding with a ratio: too few items, no claim, or nothing to compare."""
    if found:
        most = inputs.verdicts.filter(pl.col("level") == "cell").get_column("items").max()
        if isinstance(most, int) and most < MIN_ITEMS:
            return (
                f"No claim can be judged: this takes {MIN_ITEMS} items per benchmark, and the "
                f"results have {count_text(most, 'item')} at most."
            )
        return "No claim can be judged, for the reasons given with each finding."
    if max(len(distinct(inputs.curves, side)) for side in ("style", "relevance")) > 1:
        return (
            "No claim is about the styles and kinds of responses of this study, so there are no "
            "findings. Its study file can state some under claims."
        )
    return (
        "The results have no two styles or kinds of responses to compare, so there are no findings."
    )


def main_chart_note(inputs: ReportInputs, lines: Sequence[Headline]) -> str:
    """What the caption of the main chart says of length, "" for one style.

    ``lines`` are the findings beside the chart.
    """
    correct = inputs.curves.filter(pl.col("relevance") == "correct")
    if len(distinct(correct, "style")) < 2:
        return ""
    at_equal_length = ("matched", "regression")
    controlled = any(
        figure.ratio
        for line in lines
        if line.survives_length
        for figure in line.figures
        if figure.column in at_equal_length
    )
    beside = ": see what remains at equal length beside the chart" if controlled else ""
    return f"Responses of different styles may differ in length{beside}."
