"""The curves of a base model and of a model tuned from it."""

from collections.abc import Iterator

import altair as alt
import polars as pl

from gradpipe.report.chart_data import distinct
from gradpipe.report.charts import sections
from gradpipe.report.charts.chart_files import ChartFile
from gradpipe.report.charts.curve_lines import curve_lines
from gradpipe.report.charts.drawable_rows import POINT, correct_only, in_line_order
from gradpipe.report.charts.kind import OF_STATISTIC, ChartKind
from gradpipe.report.charts.notebook_tables import (
    ResultsFrame,
    checked,
    choose,
    choose_statistic,
    draw,
)
from gradpipe.report.charts.page_figure import PageFigure, Picker
from gradpipe.report.charts.parts import color_by_style, dashes, panels, value_title
from gradpipe.report.report_data import REPORT_CURVE_COLUMNS, ReportInputs

_TUNING = ("base", "tuned")


def base_against_tuned(
    styles: list[str], *, statistic: str | None = None, log: bool = False, tooltips: bool = True
) -> alt.FacetChart:
    """Does instruction tuning change the curves?

    One panel per projection, one color per style; solid for the base model, dashed for the model
    tuned from it.
    """
    layers = curve_lines(
        value="mean",
        color=color_by_style(styles),
        field="style",
        title=value_title(statistic),
        log=log,
        tooltip=["style:N", "model:N"] if tooltips else None,
        dash=dashes("tuning", _TUNING, "model"),
    )
    return panels(layers)


def two_models(curves: pl.DataFrame, base: str, tuned: str) -> pl.DataFrame:
    """The curves of two models, with ``tuning``: "base" or "tuned"."""
    return pl.concat(
        curves.filter(pl.col("model") == model).with_columns(tuning=pl.lit(tuning))
        for tuning, model in (("base", base), ("tuned", tuned))
    )


def tuning_rows(curves: pl.DataFrame) -> pl.DataFrame:
    """The curves of correct responses of `two_models`; no rows if one of them has none."""
    rows = correct_only(curves)
    if rows.get_column("tuning").n_unique() < 2:
        rows = rows.clear()
    return in_line_order(rows, ("tuning", "model", *POINT))


def base_and_tuned(
    curves: ResultsFrame,
    base: str,
    tuned: str,
    *,
    statistic: str | None = None,
    benchmark: str | None = None,
    log: bool = False,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the curves of a base model and of a model tuned from it together.

    One panel per projection and one color per style, for correct responses; solid lines for the
    base model, dashed lines for the tuned one.

    Args:
        curves: Curves of both models, as ``gp.curves`` returns them.
        base: The name of the base model in the column ``model``.
        tuned: The name of the tuned model.
        statistic: As in ``gp.charts.curves``.
        benchmark: As in ``gp.charts.curves``.
        log: As in ``gp.charts.curves``.
        title: The chart's title; by default the names of the models and the benchmark.

    Returns:
        An Altair chart with its data.

    Raises:
        DataError: As in ``gp.charts.curves``, or one of the models has no curves.

    Examples:
        >>> spectra = gp.extract_spectra(model, tokenizer, [("Add 2 and 2.", "4")])
        >>> curves = gp.curves(
        ...     pl.concat(spectra.with_columns(model=pl.lit(name)) for name in ("one", "other"))
        ... )
        >>> chart = gp.charts.base_and_tuned(curves, "one", "other")
        >>> {row["tuning"] for row in chart.data.values} == {"base", "tuned"}
        True
    """
    table, chosen = choose_statistic(checked(curves, REPORT_CURVE_COLUMNS, "gp.curves"), statistic)
    for model in (base, tuned):
        choose(table, model=model)
    both = choose(two_models(table, base, tuned), benchmark=benchmark)
    if title is None:
        names = [f"{base} and {tuned}", *both.get_column("benchmark").unique()]
        title = " · ".join(name for name in names if name)
    needs = "correct responses of both models to one benchmark"
    return draw(BASE_AND_TUNED, both, needs=needs, statistic=chosen, log=log, title=title)


def _files(inputs: ReportInputs, statistic: str) -> Iterator[ChartFile]:
    """One chart per pair of models and benchmark that both have."""
    curves = inputs.curves.filter(pl.col("statistic") == statistic)
    for base, tuned in inputs.twins.select("base", "tuned").rows():
        both = two_models(curves, base, tuned)
        for benchmark in distinct(both, "benchmark"):
            rows = both.filter(pl.col("benchmark") == benchmark)
            title = f"{base} and {tuned} · {benchmark}"
            yield ChartFile((base, tuned, benchmark, statistic), rows, title, statistic)


def shown_twins(inputs: ReportInputs) -> pl.DataFrame:
    """The pairs of models that both have curves."""
    models = distinct(inputs.curves, "model")
    return inputs.twins.filter(pl.col(c).is_in(models) for c in ("base", "tuned"))


def _pairs(inputs: ReportInputs) -> list[tuple[str, str]]:
    pairs = shown_twins(inputs).select("base", "tuned").rows()
    return [(f"{place}", f"{base} → {tuned}") for place, (base, tuned) in enumerate(pairs)]


def _styles(inputs: ReportInputs) -> list[str]:
    return distinct(inputs.curves, "style") if _pairs(inputs) else []


BASE_AND_TUNED = ChartKind(
    name="twins",
    draw=base_against_tuned,
    rows=tuning_rows,
    color="style",
    value="mean",
    subtitle="Mean over examples, correct responses; solid: base, dashed: tuned",
    log=False,
    options=OF_STATISTIC,
    files=_files,
    in_large_studies=True,
    figure=PageFigure(
        id="twins",
        section=sections.TWINS_SECTION,
        heading="Curves of a base model and of the model tuned from it",
        axis="{measured}",
        names=_styles,
        caption=(
            "Solid lines are the base model, dashed lines the model tuned from it, for correct "
            "responses, and the benchmark and statistic chosen above."
        ),
        log=False,
        pickers=(Picker(name="twins", label="Models", choices=_pairs),),
    ),
    function=base_and_tuned,
)
