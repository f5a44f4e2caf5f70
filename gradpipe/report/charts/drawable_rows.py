"""The rows that several kinds of chart select in the same way."""

from collections.abc import Iterable

import polars as pl

from gradpipe.report.chart_data import distinct, drawn_curves, in_reading_order, with_errors
from gradpipe.report.charts.page_figure import Picker
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.style import DRAWN_RELEVANCES, SEGMENT_LABELS
from gradpipe.statistics.differences import SEGMENTS

LINE = ("projection", "style", "relevance", "layer")
POINT = ("mean", "low", "high", "se", "examples")
RATIO_POINT = ("ratio", "low", "high", "se", "examples")
EFFECT = ("effect", "low", "high")
#: A logarithmic scale has no zero.
HAS_INTERVAL = pl.all_horizontal(pl.col(EFFECT).is_finite(), pl.col("low") > 0)


def drawable(curves: pl.DataFrame) -> pl.DataFrame:
    """The curves with their bands, where there is a mean."""
    return drawn_curves(curves).filter(pl.col("mean").is_not_null())


def of_drawn_relevances(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of correct and irrelevant responses."""
    return rows.filter(pl.col("relevance").is_in(list(DRAWN_RELEVANCES)))


def correct_only(curves: pl.DataFrame) -> pl.DataFrame:
    """The curves of correct responses with their bands."""
    return drawable(curves).filter(pl.col("relevance") == "correct")


def in_line_order(rows: pl.DataFrame, values: Iterable[str]) -> pl.DataFrame:
    """The columns of lines and ``values``, in reading order."""
    return in_reading_order(rows.select(*LINE, *values), *LINE)


def in_dot_order(table: pl.DataFrame, value: str, *labels: str) -> pl.DataFrame:
    """The finite values of dots with their labels, in reading order."""
    columns = ("benchmark", "projection", "style", *labels)
    rows = table.filter(pl.col(value).is_finite())
    return in_reading_order(rows.select(*columns, value), *columns)


def cosine_bands(cosines: pl.DataFrame) -> pl.DataFrame:
    """Curves of cosines with their bands, which may be negative."""
    rows = with_errors(cosines).filter(pl.col("mean").is_not_null())
    error = pl.col("se").fill_null(0.0)
    rows = rows.with_columns(low=pl.col("mean") - error, high=pl.col("mean") + error)
    return in_reading_order(rows.sort("layer"), "pair", "style", "relevance")


def mads_over_all_layers(inputs: ReportInputs) -> pl.DataFrame:
    """The MADs of whole curves."""
    return inputs.mad.filter(pl.col("segment") == "all")


def styles_with_irrelevant(inputs: ReportInputs) -> list[str]:
    """The styles of the curves, none if there are no irrelevant responses."""
    both = "irrelevant" in distinct(inputs.curves, "relevance")
    return distinct(inputs.curves, "style") if both else []


def _segments(_: ReportInputs) -> list[tuple[str, str]]:
    return [(name, SEGMENT_LABELS.get(name, name)) for name in SEGMENTS]


#: The layers that the MADs of charts are over.
SEGMENT_PICKER = Picker(
    name="segment", label="Layers in the chart", choices=_segments, chosen="all"
)
