"""The axis of training steps: linear, or logarithmic with a place for step 0."""

from math import floor, log10

import altair as alt
import polars as pl

from gradpipe.report.charts.page_figure import Picker
from gradpipe.report.charts.sections import Section
from gradpipe.report.report_data import ReportInputs

#: The least step, the first one above 0, and the last one.
StepExtent = tuple[float, float, float]

STEPS_SECTION = Section(
    id="steps", name="Training", heading="Along training", tables=("trends",), after="verdicts"
)
#: Vega's expression of a step's label, such as 1.5k; SI prefixes would write 0.5 as 500m.
STEP_LABEL = "format(datum.value, datum.value < 1000 ? '~g' : '~s')"
#: Two decades or fewer have ticks at 1, 2 and 5 times powers of ten, more only at the powers.
_MOST_DECADES_WITH_FIFTHS = 2


def step_extent(rows: pl.DataFrame) -> StepExtent:
    """The extent of the column ``step``."""
    steps = rows.get_column("step").unique().sort().to_list() or [0.0, 1.0]
    return steps[0], next((step for step in steps if step > 0), 1.0), steps[-1]


def step_axis(extent: StepExtent, log: bool) -> alt.X:
    """Steps from left to right.

    The logarithmic scale is linear below the first step above 0, so that step 0 has a place on it.
    """
    least, first, last = extent
    if not log or last <= first:
        scale = alt.Scale(nice=False, zero=False)
        return alt.X("step:Q", title="training step", scale=scale).axis(
            labelExpr=STEP_LABEL, tickCount=6
        )
    scale = alt.Scale(type="symlog", constant=first, domain=[least, last], nice=False)
    return alt.X("step:Q", title="training step", scale=scale).axis(
        values=_ticks(extent), labelExpr=STEP_LABEL, labelOverlap="greedy"
    )


def _ticks(extent: StepExtent) -> list[float]:
    least, first, last = extent
    decades = range(floor(log10(first)), floor(log10(last)) + 1)
    fifths = (1, 2, 5) if log10(last / first) <= _MOST_DECADES_WITH_FIFTHS else (1,)
    ticks = [times * 10.0**decade for decade in decades for times in fifths]
    return [*([0.0] if least == 0 else []), *(t for t in ticks if max(least, first) <= t <= last)]


def _series(inputs: ReportInputs) -> list[tuple[str, str]]:
    names = inputs.steps.get_column("series").unique().sort().to_list()
    return [("", "all series")] * (len(names) > 1) + [(name, name) for name in names]


#: The series that charts over steps draw: all over one another, or one.
SERIES_PICKER = Picker(name="series", label="Series", choices=_series)
