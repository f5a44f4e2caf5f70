"""The verdicts on a claim: each ratio with its interval."""

import textwrap
from collections.abc import Iterator, Sequence

import altair as alt
import polars as pl

from gradpipe.claims.contrasts import Claim, claims_table
from gradpipe.claims.paper import PAPER_CLAIMS
from gradpipe.claims.parse import parse_claim
from gradpipe.claims.schemas import CLAIM_SCHEMA, VERDICT_SCHEMA
from gradpipe.report.chart_data import distinct, in_reading_order
from gradpipe.report.charts import sections
from gradpipe.report.charts.chart_files import ChartFile
from gradpipe.report.charts.drawable_rows import EFFECT, HAS_INTERVAL
from gradpipe.report.charts.interval_dots import INTERVAL_TOOLTIP, interval_dots
from gradpipe.report.charts.kind import ChartKind
from gradpipe.report.charts.notebook_tables import ResultsFrame, checked, choose, draw
from gradpipe.report.charts.page_figure import WIDE_MARGIN, PageFigure, Picker
from gradpipe.report.charts.parts import color_by, panels, tooltip_value
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.style import VERDICT_COLORS, VERDICT_SHAPES
from gradpipe.statistics.reductions import REDUCTIONS

#: Characters per line of a panel's title.
_TITLE_WIDTH = 46
_JUDGED = (pl.col("level") == "cell") & pl.col("effect").is_finite()


def verdicts_on_a_claim(verdicts: list[str], *, log: bool = True) -> alt.FacetChart:
    """Where does a claim hold, how clearly, and where not?

    One panel per part of the claim, with one row per benchmark and projection: its ratio and
    interval, colored and shaped by verdict. A rule marks a ratio of 1.
    """
    colors = [VERDICT_COLORS[verdict] for verdict in verdicts]
    shapes = [VERDICT_SHAPES[verdict] for verdict in verdicts]
    layers = interval_dots(
        field="verdict",
        color=color_by("verdict", verdicts, colors, title="verdict", symbol="circle"),
        row="place",
        tooltip=[
            "benchmark:N",
            "projection:N",
            "verdict:N",
            *INTERVAL_TOOLTIP,
            tooltip_value("p_adjusted", "adjusted p"),
            "items:Q",
            "reason:N",
        ],
        log=log,
        more={"shape": alt.Shape("verdict:N", scale=alt.Scale(domain=verdicts, range=shapes))},
    )
    return panels(layers, field="part", own="x", height=None)


def verdict_rows(verdicts: pl.DataFrame) -> pl.DataFrame:
    """The cells' verdicts that have a ratio with an interval; panels (``part``) by statement.

    ``verdicts`` has a column ``statement``, in the order of the panels.
    """
    width = _TITLE_WIDTH
    titles = {text: "\n".join(textwrap.wrap(text, width)) for text in verdicts["statement"]}
    part = pl.col("statement").replace(titles).alias("part")
    names = ("benchmark", "projection", "verdict")
    place = pl.format("{} · {}", "benchmark", "projection").alias("place")
    return verdicts.filter(pl.col("level") == "cell", HAS_INTERVAL).select(
        part, place, *names, *EFFECT, "p_adjusted", "items", "reason"
    )


def verdicts_with_statements(verdicts: pl.DataFrame, claims: pl.DataFrame) -> pl.DataFrame:
    """Verdicts with the statement, title and group of their claims, in the order of ``claims``."""
    ordered = in_reading_order(verdicts, "benchmark", "projection", "verdict")
    return claims.join(ordered, on="claim", maintain_order="left_right")


def verdicts(
    verdicts: ResultsFrame,
    claims: Sequence[Claim | str] | None = None,
    *,
    model: str | None = None,
    log: bool = True,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the verdicts on claims: each ratio with its interval, colored by verdict.

    One panel per claim, with one row per benchmark and projection. Intervals are those of the
    verdicts: 95 %, or 90 % for a claim that a ratio is within a margin or not above it.

    Args:
        verdicts: Verdicts as ``gp.judge`` returns them.
        claims: The claims to draw, as they were given to ``gp.judge``; by default all.
        model: The model to draw; needed if the table has several.
        log: Draw ratios on a logarithmic scale.
        title: The chart's title; by default the names of the model and the benchmark.

    Returns:
        An Altair chart with its data. ``chart.data.values`` are the rows that it draws.

    Raises:
        DataError: ``verdicts`` is another kind of table, has no ratio with an interval, or has
            several models and none is chosen.
        StudyError: The text of a claim is malformed.

    Examples:
        >>> questions = [f"What is {n} plus {n}?" for n in range(10)]
        >>> answers = {"none": "It is {}.", "detailed": "Adding the two numbers gives us {}."}
        >>> table = pl.concat(
        ...     gp.extract_spectra(
        ...         model, tokenizer, [(q, text.format(2 * n)) for n, q in enumerate(questions)]
        ...     ).with_columns(style=pl.lit(style))
        ...     for style, text in answers.items()
        ... )
        >>> chart = gp.charts.verdicts(gp.judge(table, ["none > detailed on nuclear_norm"]))
        >>> [row["projection"] for row in chart.data.values]
        ['q', 'k', 'v', 'o']
    """
    frame = choose(checked(verdicts, tuple(VERDICT_SCHEMA), "gp.judge"), model=model)
    cells = frame.filter(pl.col("level") == "cell")
    judged = verdicts_with_statements(cells, _statements(cells, claims))
    needs = "verdicts on a benchmark that have an interval, which takes 8 items"
    return draw(VERDICTS_ON_CLAIMS, judged, needs=needs, log=log, title=title)


def _statements(cells: pl.DataFrame, claims: Sequence[Claim | str] | None) -> pl.DataFrame:
    """The claims to draw as a table of CLAIM_SCHEMA; an unknown claim's name is its statement."""
    if claims is not None:
        known = list(REDUCTIONS)
        return claims_table([parse_claim(c, known) if isinstance(c, str) else c for c in claims])
    paper = claims_table(PAPER_CLAIMS)
    unknown = cells.select("claim").unique(maintain_order=True).join(paper, on="claim", how="anti")
    named = unknown.with_columns(
        pl.col("claim").alias("statement") if name == "statement" else pl.lit(None).alias(name)
        for name in CLAIM_SCHEMA
        if name != "claim"
    )
    return pl.concat([named.select(pl.col(n).cast(t) for n, t in CLAIM_SCHEMA.items()), paper])


def _files(inputs: ReportInputs, _: str) -> Iterator[ChartFile]:
    """One chart per group of claims and model, or family of models."""
    for model in distinct(inputs.verdicts, "model"):
        verdicts = inputs.verdicts.filter(pl.col("model") == model)
        judged = verdicts_with_statements(verdicts, inputs.claims)
        for (group, name), rows in judged.group_by("group", "title", maintain_order=True):
            yield ChartFile((model, str(group)), rows, f"{name} · {model}")


def _groups(inputs: ReportInputs) -> list[tuple[str, str]]:
    judged = inputs.verdicts.filter(_JUDGED).get_column("claim").unique()
    claims = inputs.claims.filter(pl.col("claim").is_in(judged.implode()))
    groups = claims.group_by("group", maintain_order=True).agg(pl.col("title").first()).rows()
    return [(str(group), str(title)) for group, title in groups]


def _verdicts(inputs: ReportInputs) -> list[str]:
    return distinct(inputs.verdicts.filter(_JUDGED), "verdict")


VERDICTS_ON_CLAIMS = ChartKind(
    name="verdicts",
    draw=verdicts_on_a_claim,
    rows=verdict_rows,
    color="verdict",
    value="effect",
    subtitle="Ratio with its interval, one row per benchmark and projection",
    files=_files,
    figure=PageFigure(
        id="verdicts",
        section=sections.VERDICTS_SECTION,
        heading="Ratio of a claim in each benchmark and projection",
        names=_verdicts,
        caption=(
            "The ratio that the claim is about, with its interval over items (95 %, or 90 % for "
            "a claim that a ratio is within a margin or not above it), one row per "
            "benchmark and projection. The dotted line marks no "
            "difference. Color and shape show the verdict. Cells without a ratio are not drawn."
        ),
        margin=WIDE_MARGIN,
        pickers=(Picker(name="claim", label="Claim", choices=_groups),),
    ),
    function=verdicts,
)
