"""All tables of the report, and their files."""

from pathlib import Path

import polars as pl

from gradpipe.report.chart_data import in_reading_order
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.curves import (
    CURVE,
    base_and_tuned_table,
    cosine_table,
    knowledge_table,
    mad_in_full,
    mad_segment_table,
    mad_table,
    rd_table,
    scale_free_table,
)
from gradpipe.report.tables.discrimination import discrimination_table
from gradpipe.report.tables.examples import (
    examples_table,
    quality_table,
    reasons_table,
    rows_table,
    unusable_table,
)
from gradpipe.report.tables.latex import write_latex
from gradpipe.report.tables.spans import spans_table
from gradpipe.report.tables.table import ReportTable
from gradpipe.report.tables.verdicts import (
    length_in_full,
    length_table,
    overall_table,
    verdict_grid_table,
    verdict_table,
)


def all_tables(inputs: ReportInputs) -> dict[str, ReportTable]:
    """Every table of the report, by name."""
    tables = (
        overall_table(inputs),
        verdict_grid_table(inputs),
        verdict_table(inputs),
        mad_table(inputs.mad),
        scale_free_table(inputs.mad),
        mad_segment_table(inputs.mad),
        rd_table(inputs.rd),
        *_discrimination(inputs),
        base_and_tuned_table(inputs),
        knowledge_table(inputs.mad),
        length_table(inputs.length),
        cosine_table(inputs.alignment),
        rows_table(inputs.rows),
        reasons_table(inputs.unusable),
        unusable_table(inputs.unusable),
        quality_table(inputs.quality),
        examples_table(inputs.examples),
        *([] if inputs.spans.is_empty() else [spans_table(inputs.spans)]),
    )
    return {table.name: table for table in tables}


def _discrimination(inputs: ReportInputs) -> list[ReportTable]:
    """The table of discrimination, if there are responses of two kinds to distinguish."""
    table = discrimination_table(inputs.discrimination)
    return [] if table.frame.is_empty() else [table]


def write_tables(inputs: ReportInputs, folder: Path) -> list[Path]:
    """Write every table and the curves as CSV, and a paper's tables as LaTeX; return the paths.

    A CSV has full precision, and is written even if it has no rows. `latex.PRINTED` lists the
    tables in LaTeX.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = all_tables(inputs)
    frames = {name: table.frame for name, table in tables.items()}
    frames["curves"] = in_reading_order(inputs.curves, *CURVE, "projection", "statistic", "layer")
    frames["mad_in_full"] = mad_in_full(inputs.mad)
    frames["length_in_full"] = length_in_full(inputs.length)
    if not inputs.random_effects.is_empty():
        frames["random_effects"] = inputs.random_effects
    if not inputs.discrimination.is_empty():
        frames["discrimination_in_full"] = inputs.discrimination
    for name, frame in frames.items():
        # A list, such as the layers with the largest differences, is one field.
        fields = pl.selectors.list().cast(pl.List(pl.String)).list.join(" ")
        frame.with_columns(fields).write_csv(folder / f"{name}.csv")
    return [*(folder / f"{name}.csv" for name in frames), *write_latex(tables, folder)]
