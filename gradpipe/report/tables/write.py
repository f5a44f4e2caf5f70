"""All tables of the report, and their files."""

from pathlib import Path

import polars as pl

from gradpipe.report.chart_data import in_reading_order
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.step_values import step_values
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
from gradpipe.report.tables.decomposition import decomposition_in_full, decomposition_table
from gradpipe.report.tables.discrimination import added_table, discrimination_table
from gradpipe.report.tables.examples import (
    examples_table,
    quality_table,
    reasons_table,
    rows_table,
    unusable_table,
    writers_table,
)
from gradpipe.report.tables.latex import write_latex
from gradpipe.report.tables.sets import set_cosine_table, set_diversity_table
from gradpipe.report.tables.spans import span_report_tables
from gradpipe.report.tables.table import ReportTable
from gradpipe.report.tables.trends import claims_by_step, trends_table
from gradpipe.report.tables.verdicts import (
    length_control_in_full,
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
        trends_table(inputs),
        base_and_tuned_table(inputs),
        knowledge_table(inputs.mad),
        length_table(inputs.length),
        *([] if inputs.decomposition.is_empty() else [decomposition_table(inputs.decomposition)]),
        cosine_table(inputs.alignment),
        *_sets(inputs),
        rows_table(inputs.rows),
        reasons_table(inputs.unusable),
        unusable_table(inputs.unusable),
        writers_table(inputs.responses),
        quality_table(inputs.quality),
        examples_table(inputs.examples),
        *span_report_tables(inputs.spans, inputs.span_contrasts, inputs.step_trends),
    )
    return {table.name: table for table in tables}


def _discrimination(inputs: ReportInputs) -> list[ReportTable]:
    """The tables of discrimination, if there are responses of two kinds to distinguish."""
    tables = (discrimination_table(inputs.discrimination), added_table(inputs.added))
    return [table for table in tables if not table.frame.is_empty()]


def _sets(inputs: ReportInputs) -> list[ReportTable]:
    """The tables of sets of examples, if the sets are large enough for any number in them."""
    tables = {
        "size": set_diversity_table(inputs.set_diversity, inputs.set_consensus),
        "cosine": set_cosine_table(inputs.set_cosines),
    }
    return [table for needed, table in tables.items() if table.frame[needed].count()]


def write_tables(inputs: ReportInputs, folder: Path) -> list[Path]:
    """Write every table and the curves as CSV, and a paper's tables as LaTeX; return the paths.

    A CSV has full precision, and is written even if it has no rows. `latex.PRINTED` lists the
    tables in LaTeX.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = all_tables(inputs)
    frames = table_frames(inputs, tables)
    for name, frame in frames.items():
        # Python's errors, unlike those of Polars, say by number that a disk is full.
        (folder / f"{name}.csv").write_bytes(with_fields(frame).write_csv().encode())
    return [*(folder / f"{name}.csv" for name in frames), *write_latex(tables, folder)]


def with_fields(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame as it is written to a CSV.

    A list, such as the layers with the largest differences, is one field.
    """
    fields = pl.selectors.list().cast(pl.List(pl.String)).list.join(" ")
    return frame.with_columns(fields)


def table_frames(inputs: ReportInputs, tables: dict[str, ReportTable]) -> dict[str, pl.DataFrame]:
    """The frame of every CSV by its name; ``tables`` are those of `all_tables`."""
    frames = {name: table.frame for name, table in tables.items()}
    frames["curves"] = in_reading_order(inputs.curves, *CURVE, "projection", "statistic", "layer")
    frames["mad_in_full"] = mad_in_full(inputs.mad)
    frames["length_in_full"] = length_in_full(inputs.length)
    if not inputs.verified.is_empty():
        frames["verdicts_verified"] = inputs.verified
    if not tables["responses_by_writer"].frame.is_empty():
        frames["responses_in_full"] = inputs.responses
    if not inputs.decomposition.is_empty():
        frames["decomposition_in_full"] = decomposition_in_full(inputs.decomposition)
    frames["length_control"] = length_control_in_full(inputs)
    if not inputs.random_effects.is_empty():
        frames["random_effects"] = inputs.random_effects
    if not inputs.discrimination.is_empty():
        frames["discrimination_in_full"] = inputs.discrimination
    if not inputs.set_diversity.is_empty():
        frames["set_diversity_in_full"] = inputs.set_diversity
        frames["set_consensus"] = inputs.set_consensus
        frames["set_cosines_in_full"] = inputs.set_cosines
    if not inputs.added.is_empty():
        frames["added_discrimination_in_full"] = inputs.added
    if not inputs.span_contrasts.is_empty():
        frames["span_contrasts_in_full"] = inputs.span_contrasts
    if not inputs.steps.is_empty():
        frames["statistics_by_step"] = step_values(inputs)
        frames["claims_by_step"] = claims_by_step(inputs)
    return frames
