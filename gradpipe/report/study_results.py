"""The tables that a study's report shows, each computed when it is asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from itertools import product

import polars as pl

from gradpipe.report.cell_results import CellResults
from gradpipe.report.cell_spectra import spectra_of_cell
from gradpipe.report.collect import all_curves, all_details, comparable_curves, gather
from gradpipe.report.prose.findings import findings
from gradpipe.report.report_data import (
    ALIGNMENT_SCHEMA,
    QUALITY_COUNT_SCHEMA,
    REPORT_DISCRIMINATION_SCHEMA,
    ReportInputs,
)
from gradpipe.report.steps import step_table
from gradpipe.report.style_sheet import sheet_of, showing
from gradpipe.statistics.alignment import alignment_curves
from gradpipe.statistics.detection.discrimination import discrimination
from gradpipe.statistics.differences import mad, relative_difference
from gradpipe.studies.study import Study
from gradpipe.styles import RELEVANCES

#: One row per claim or group of claims: what ``gradpipe.report.prose.findings`` says about it.
FINDING_SCHEMA = pl.Schema(
    {
        "title": pl.String(),
        "verdict": pl.String(),
        "summary": pl.String(),
        "details": pl.List(pl.String),
        "survives_length": pl.String(),
        "claim": pl.String(),
        "group": pl.String(),
    }
)


class StudyResults:
    """The results of a study's finished ``cells``, as its report shows them.

    A table is computed once, and only the results that it needs are read.
    """

    def __init__(self, study: Study, cells: Sequence[CellResults]) -> None:
        self.study = study
        self.cells = cells

    def of(self, models: Collection[str], benchmarks: Collection[str]) -> StudyResults:
        """The results of these models on these benchmarks."""
        wanted = set(product(models, benchmarks))
        return StudyResults(
            self.study, [cell for cell in self.cells if (cell.model, cell.benchmark) in wanted]
        )

    @cached_property
    def statistics(self) -> pl.DataFrame:
        """One row per example, layer and projection, as ``gp.statistics_table`` has them."""
        return pl.concat([cell.statistics.collect() for cell in self.cells], how="diagonal")

    @cached_property
    def spectra(self) -> pl.DataFrame:
        """The same with singular values, as ``gp.extract_spectra`` has them."""
        return pl.concat([spectra_of_cell(cell) for cell in self.cells], how="diagonal")

    @cached_property
    def curves(self) -> pl.DataFrame:
        """The curves of the study's statistics, as ``gp.curves`` has them."""
        return all_curves(self.cells, self.study.statistics)

    @cached_property
    def mads(self) -> pl.DataFrame:
        """Their MADs, as ``gp.mad`` has them."""
        return mad(self.curves)

    @cached_property
    def rds(self) -> pl.DataFrame:
        """Their RDs over items with both kinds of responses, as ``gp.relative_difference`` has."""
        curves = comparable_curves(self.cells, self.curves, self.study.statistics)
        return relative_difference(curves)

    @cached_property
    def aurocs(self) -> pl.DataFrame:
        """How well responses are distinguished from correct ones, as ``gp.discrimination`` has."""
        names = self.study.statistics
        others = [relevance for relevance in RELEVANCES if relevance != "correct"]
        parts = [
            discrimination(cell.statistics, names, first=relevance, second="correct")
            for cell in self.cells
            for relevance in others
        ]
        return pl.concat([REPORT_DISCRIMINATION_SCHEMA.to_frame(), *parts])

    @cached_property
    def alignment(self) -> pl.DataFrame:
        """The curves of cosines between gradients (ALIGNMENT_SCHEMA)."""
        parts = [alignment_curves(cell.alignments) for cell in self.cells]
        return pl.concat([ALIGNMENT_SCHEMA.to_frame(), *parts])

    @cached_property
    def details(self) -> pl.DataFrame:
        """The examples that the report shows in detail, as ``example_details`` returns them."""
        return all_details(self.cells, self.steps)

    @cached_property
    def steps(self) -> pl.DataFrame:
        """The steps of the models that are checkpoints (STEP_SCHEMA)."""
        present = {cell.model for cell in self.cells}
        return step_table(self.study.models).filter(pl.col("model").is_in(present))

    @cached_property
    def twins(self) -> list[tuple[str, str]]:
        """The pairs of base and tuned models that have results."""
        present = {cell.model for cell in self.cells}
        return [pair for pair in self.study.model_pairs() if set(pair) <= present]

    @cached_property
    def report(self) -> ReportInputs:
        """All tables of the report, without the provenance of models and responses."""
        study = self.study
        return gather(
            cells=self.cells,
            curve_table=self.curves,
            claims=study.all_claims(),
            twins=study.model_pairs(),
            seed=study.seed,
            provenance={},
            quality=QUALITY_COUNT_SCHEMA.to_frame(),
            divided=study.protocol.spans is not None,
            correction=study.correction,
            steps=step_table(study.models),
            styles=sheet_of(study),
        )

    def findings(self) -> pl.DataFrame:
        """What the report says about each claim (FINDING_SCHEMA), the study's own first."""
        with showing(sheet_of(self.study)):
            rows = [
                {name: getattr(finding, name) for name in FINDING_SCHEMA}
                for finding in findings(self.report)
            ]
        return pl.DataFrame(rows, schema=FINDING_SCHEMA)
