"""Where and how the page shows a kind of chart."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from gradpipe.report.charts.sections import Section
from gradpipe.report.report_data import ReportInputs

#: Widths of the axes in pixels: per panel, and of axes that panels share.
PANEL_MARGIN = (56, 12)
#: The margin of a chart with names down its left side, beside these names.
WIDE_MARGIN = (0, 12)
#: How many names are drawn at first where the reader can choose more.
MOST_TICKED = 6
#: The margin of a chart whose panels share the scale at the left.
SHARED_MARGIN = (2, 58)


@dataclass(frozen=True, kw_only=True)
class Picker:
    """A choice above a chart: values with their labels. It is shown above the first chart with it.

    ``chosen`` is the first choice, by default the first of ``choices``.
    """

    name: str
    label: str
    choices: Callable[[ReportInputs], Sequence[tuple[str, str]]]
    chosen: str = ""


@dataclass(frozen=True, kw_only=True)
class PageRows:
    """Rows that the page draws as they are, for the reader's choices.

    ``table`` has the rows of every choice. The columns in ``block`` and ``where`` have the names of
    pickers: rows with the chosen values are drawn. The page unpacks one block per combination of
    values of ``block``. ``caption`` is the line above the chart, in which ``{statistic}`` stands
    for the label of that picker's choice. ``marks`` says what kind of chart it is, for screen
    readers. ``precision`` has the steps of columns of numbers, see gradpipe/report/page/pack.py.
    Rows of a style that the reader switched off are not drawn.
    """

    table: Callable[[ReportInputs], pl.DataFrame]
    block: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    caption: str
    marks: str
    precision: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PageFigure:
    """A figure of the page, in a section, under its own ``heading``.

    ``axis`` is the title of the axis of values, for charts whose values the reader chooses:
    ``{statistic}`` is the label of the chosen statistic, ``{measured}`` the same with its unit, and
    the name of another picker the label of its choice. ``names`` are the values that its colors
    distinguish, in order; without any it is not shown. ``log`` says whether the first scale is
    logarithmic, and with ``scales`` the reader can switch to the other one. ``boxes`` is the title
    of boxes, one per name, with which the reader chooses the names that are drawn, at first
    MOST_TICKED of them; without a title there are no boxes. ``rows`` are the rows that it draws.
    Without them, the page's script computes the rows from blocks that several charts share
    (page/rows.js).
    """

    id: str
    section: Section
    heading: str
    names: Callable[[ReportInputs], Sequence[str]]
    caption: str
    axis: str = ""
    margin: tuple[int, int] = PANEL_MARGIN
    log: bool = True
    scales: bool = True
    pickers: tuple[Picker, ...] = ()
    boxes: str = ""
    rows: PageRows | None = None
    #: The place in the section's template, if that has several.
    place: str = ""
