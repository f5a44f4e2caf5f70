"""The report's tables: each a Polars frame, written as CSV and shown as HTML."""

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from gradpipe.report import look
from gradpipe.report.inputs import QUALITY_SCHEMA, ROWS_COLUMNS, UNUSABLE_COLUMNS, ReportInputs
from gradpipe.report.shape import distinct, in_reading_order, labelled_style
from gradpipe.statistics.differences import SEGMENTS

_CURVE = ["model", "benchmark", "style", "relevance"]


@dataclass(frozen=True)
class Table:
    """A table as its frame (exact, for the CSV) and how a page shows it.

    ``heads``: how many leading columns name the row. ``groups``: label and width of each group of
    the columns that follow, where there are two lines of headings. ``labels``: headings that differ
    from the column's name. A frame with a ``statistic`` column is shown one statistic at a time.
    """

    name: str
    caption: str
    frame: pl.DataFrame
    heads: int
    groups: list[tuple[str, int]] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def headings(self) -> list[str]:
        """The headings of the columns shown, in order."""
        return [self.labels.get(c, c.replace("_", " ")) for c in self._shown()]

    @property
    def statistics(self) -> list[str]:
        """The statistics the table has, in the order they are shown; none for other tables."""
        return distinct(self.frame, "statistic") if "statistic" in self.frame.columns else []

    def cells(self, statistic: str | None = None, most: int | None = None) -> list[list[str]]:
        """The rows as text, a list of cells each: of one statistic, at most ``most`` of them."""
        frame = self.frame
        if statistic is not None:
            frame = frame.filter(pl.col("statistic") == statistic)
        frame = frame if most is None else frame.head(most)
        shown = frame.select(self._shown())
        if "style" in shown.columns:
            shown = shown.with_columns(labelled_style())
        return [[_cell(value) for value in row] for row in shown.rows()]

    def _shown(self) -> list[str]:
        return [c for c in self.frame.columns if c != "statistic"]


def all_tables(inputs: ReportInputs) -> dict[str, Table]:
    """Every table of the report, by name."""
    tables = (
        mad_table(inputs.mad),
        mad_segment_table(inputs.mad),
        rd_table(inputs.rd),
        rows_table(inputs.rows),
        reasons_table(inputs.unusable),
        unusable_table(inputs.unusable),
        quality_table(inputs.quality),
    )
    return {table.name: table for table in tables}


def mad_table(mad: pl.DataFrame) -> Table:
    """MAD over all layers: a row a model × benchmark × style × relevance, a column a projection."""
    whole = mad.filter(pl.col("segment") == "all")
    projections = _projections(mad)
    values = [_of(pl.col("mad"), projection).alias(projection) for projection in projections]
    caption = "MAD of each curve over all layers, by projection"
    return Table("mad", caption, _wide(whole, _CURVE, values), heads=4)


def mad_segment_table(mad: pl.DataFrame) -> Table:
    """MAD within the early, middle and last layers, a column a segment × projection."""
    projections = _projections(mad)
    segments = [segment for segment in SEGMENTS if segment != "all"]
    values = [
        _of(pl.col("mad"), projection, pl.col("segment") == segment).alias(
            f"{segment}_{projection}"
        )
        for segment in segments
        for projection in projections
    ]
    return Table(
        "mad_segments",
        "MAD of each curve within the early, middle and last layers, by projection",
        _wide(mad.filter(pl.col("segment") != "all"), _CURVE, values),
        heads=4,
        groups=[(look.SEGMENT_LABELS[segment], len(projections)) for segment in segments],
        labels={f"{segment}_{p}": p for segment in segments for p in projections},
    )


def rd_table(rd: pl.DataFrame) -> Table:
    """RD of irrelevant against correct by projection, and the layers where it is largest."""
    projections = _projections(rd)
    layers = pl.col("largest_layers").cast(pl.List(pl.String)).list.join(" ")
    values = [
        *(_of(pl.col("rd"), projection).alias(projection) for projection in projections),
        *(
            _of(layers, projection).alias(f"largest_layers_{projection}")
            for projection in projections
        ),
    ]
    width = len(projections)
    return Table(
        "rd",
        "RD of the irrelevant curve from the correct one, and the layers where it is largest",
        _wide(rd, _CURVE[:3], values),
        heads=3,
        groups=[("RD", width), ("layers with the largest differences", width)],
        labels={f"largest_layers_{p}": p for p in projections},
    )


def rows_table(rows: pl.DataFrame) -> Table:
    """What was run: examples, unusable and truncated ones, mean tokens and loss."""
    frame = in_reading_order(rows.select(ROWS_COLUMNS), *_CURVE).select(
        *_CURVE, pl.exclude(*_CURVE, "family")
    )
    labels = {"mean_tokens": "mean tokens", "mean_response_tokens": "mean response tokens"}
    return Table(
        "rows", "Examples by model, benchmark, style and relevance", frame, 4, labels=labels
    )


def reasons_table(unusable: pl.DataFrame) -> Table:
    """How many examples could not be used, by model, benchmark and reason."""
    keys = ["model", "benchmark", "reason"]
    counts = unusable.group_by(keys).agg(pl.len().cast(pl.Int64).alias("examples"))
    return Table(
        "unusable_reasons",
        "Unusable examples by reason",
        in_reading_order(counts, *keys),
        heads=3,
    )


def unusable_table(unusable: pl.DataFrame) -> Table:
    """Every example that could not be used, with its reason."""
    frame = in_reading_order(
        unusable.select(UNUSABLE_COLUMNS), "model", "benchmark", "index", "style", "relevance"
    )
    return Table("unusable", "Every unusable example", frame, heads=2)


def quality_table(quality: pl.DataFrame) -> Table:
    """How the gates judged the responses, as shares of each style's."""
    keys = ["benchmark", "written_by", "style", "verdict"]
    frame = in_reading_order(quality.select(list(QUALITY_SCHEMA)), *keys)
    return Table(
        "quality",
        "Responses by the verdict of the gates",
        frame.with_columns(pl.col("verdict").str.replace_all("_", " ")),
        heads=4,
        labels={"rate": "share"},
    )


def write_tables(inputs: ReportInputs, folder: Path) -> list[Path]:
    """Write every table, and the curves themselves, as CSV with full precision."""
    folder.mkdir(parents=True, exist_ok=True)
    order = [*_CURVE, "projection", "statistic", "layer"]
    frames = {name: table.frame for name, table in all_tables(inputs).items()}
    frames["curves"] = in_reading_order(inputs.curves, *order)
    for name, frame in frames.items():
        frame.write_csv(folder / f"{name}.csv")
    return [folder / f"{name}.csv" for name in frames]


def _projections(frame: pl.DataFrame) -> list[str]:
    return distinct(frame, "projection") or ["q", "k", "v", "o"]


def _of(value: pl.Expr, projection: str, where: pl.Expr | None = None) -> pl.Expr:
    chosen = pl.col("projection") == projection
    return value.filter(chosen if where is None else chosen & where).first()


def _wide(frame: pl.DataFrame, keys: list[str], values: list[pl.Expr]) -> pl.DataFrame:
    rows = frame.group_by(*keys, "statistic").agg(values)
    return in_reading_order(rows, "statistic", *keys)


def _cell(value: object) -> str:
    if value is None or isinstance(value, (int, float)):
        return look.number(value)
    return str(value)
