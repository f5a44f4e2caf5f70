"""``gradpipe.Workspace``: the results in a workspace as Polars frames and charts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from gradpipe.errors import StudyError, WorkspaceError, nearest
from gradpipe.report.cell_spectra import spectra_of_cell
from gradpipe.report.study_results import StudyResults
from gradpipe.studies.study import Study
from gradpipe.system.extras import import_charts
from storage.read_only import ReadOnlyWorkspace, open_to_read
from storage.stages import (
    ITEMS_FILES,
    RESPONSES_FILES,
    SPECTRA_FILES,
    STATISTICS_FILES,
    Partition,
    StageFiles,
)
from storage.stored_results import stored_results
from storage.tables import Query, Table, deferred, read_notes

if TYPE_CHECKING:
    import altair as alt

#: One name, several, or all.
Names = str | Sequence[str] | None
StoredTable = Literal["items", "responses", "examples", "spectra", "statistics", "alignments"]
#: The stage that makes each table.
_STAGES: dict[str, StageFiles] = {
    "items": ITEMS_FILES,
    "responses": RESPONSES_FILES,
    "examples": SPECTRA_FILES,
    "spectra": SPECTRA_FILES,
    "statistics": STATISTICS_FILES,
    "alignments": STATISTICS_FILES,
}


class WorkspaceView:
    """The results in a workspace, to read: Polars frames, verdicts and charts.

    Nothing is created, locked or changed, and no model is needed. The tables are those of the
    study's models and benchmarks as they are stored now; `gradpipe status` says whether one is out
    of date.

    Args:
        home: The workspace's folder or URL; by default the one that GRADPIPE_HOME names, or else
            ``.gradpipe`` in the current folder.

    Raises:
        WorkspaceError: There is no workspace, or it cannot be reached.

    Examples:
        >>> ws = gp.Workspace(workspace)  # a folder or URL; by default the current workspace
        >>> ws.models, ws.benchmarks
        (['small'], ['mini_maths', 'mini_obscure'])
        >>> table = ws.statistics(benchmark="mini_maths", style=["none", "detailed"])
        >>> table["style"].unique().sort().to_list()
        ['detailed', 'none']
        >>> lazy = ws.scan("statistics").filter(pl.col("projection") == "o")
        >>> lazy.select(pl.col("layer").max()).collect().item()
        2
        >>> ws.verdicts().filter(level="overall").columns[:2]
        ['claim', 'level']
        >>> chart = ws.chart("curves", benchmark="mini_maths", statistic="effective_rank")
        >>> {row["style"] for row in chart.data.values} >= {"none", "detailed"}
        True
    """

    def __init__(self, home: str | Path | None = None) -> None:
        self._workspace: ReadOnlyWorkspace = open_to_read(home)

    def __repr__(self) -> str:
        return f"Workspace({str(self._workspace.root)!r})"

    @cached_property
    def study(self) -> Study:
        """The study, with a model per computed step of its series."""
        return self._workspace.study()

    @property
    def models(self) -> list[str]:
        """The names of the study's models."""
        return [model.name for model in self.study.models]

    @property
    def benchmarks(self) -> list[str]:
        """The names of the study's benchmarks."""
        return [benchmark.name for benchmark in self.study.benchmarks]

    def scan(
        self,
        table: StoredTable,
        *,
        model: Names = None,
        benchmark: Names = None,
        style: Names = None,
        relevance: Names = None,
    ) -> pl.LazyFrame:
        """A stored table as a lazy frame, for results that are larger than the memory.

        The parts of the table, one per model and benchmark, are read one after another when the
        query runs.

        Args:
            table: "items", "responses", "examples", "spectra", "statistics" or "alignments", as
                the methods of these names return them.
            model: Only results of this model, or of these; not for items and responses.
            benchmark: Only results on this benchmark, or on these.
            style: Only responses of this style, or of these; not for items.
            relevance: Only responses of this relevance, or of these; not for items.

        Raises:
            StudyError: The study has no such model or benchmark, or there is no such table.
            WorkspaceError: The stage that makes the table has not run yet.
        """
        if table not in _STAGES:
            raise StudyError(f"There is no table {table!r}: {nearest(table, list(_STAGES))}")
        labels = {"style": style, "relevance": relevance}
        chosen = {name: _listed(values) for name, values in labels.items() if values is not None}
        unknown = list(chosen) if table == "items" else []
        if model is not None and "model" not in _STAGES[table].partitioned_by:
            unknown.append("model")
        if unknown:
            raise StudyError(f"The table {table!r} has no column {unknown[0]!r}: leave it out.")
        wanted = [pl.col(name).is_in(values) for name, values in chosen.items()]
        read = partial(self._read, table, wanted)
        return pl.concat(map(read, self._stored(table, model, benchmark)), how="diagonal")

    def items(self, *, benchmark: Names = None) -> pl.DataFrame:
        """The items of the benchmarks: question, answer, and what else the source has."""
        return self.scan("items", benchmark=benchmark).collect()

    def responses(
        self, *, benchmark: Names = None, style: Names = None, relevance: Names = None
    ) -> pl.DataFrame:
        """The examples as they were written: one row per item, style and relevance."""
        labels = {"style": style, "relevance": relevance}
        return self.scan("responses", benchmark=benchmark, **labels).collect()

    def examples(self, **chosen: Names) -> pl.DataFrame:
        """The examples as they were measured: texts, loss, tokens, and ``reason`` if unusable.

        ``chosen`` are ``model``, ``benchmark``, ``style`` and ``relevance``, as in ``scan``.
        """
        return self.scan("examples", **chosen).collect()

    def spectra(self, **chosen: Names) -> pl.DataFrame:
        """The table of ``gp.extract_spectra`` with the labels of the examples in front.

        One row per example, layer and projection, with ``singular_values``. ``chosen`` are as in
        ``scan``; the spectra of a large study do not fit in memory together.
        """
        return self.scan("spectra", **chosen).collect()

    def statistics(self, **chosen: Names) -> pl.DataFrame:
        """The statistics, as ``gp.statistics_table`` returns them; ``chosen`` as in ``scan``."""
        return self.scan("statistics", **chosen).collect()

    def alignments(self, **chosen: Names) -> pl.DataFrame:
        """The cosines between gradients, one row per comparison; ``chosen`` as in ``scan``."""
        return self.scan("alignments", **chosen).collect()

    def curves(self, *, model: Names = None, benchmark: Names = None) -> pl.DataFrame:
        """The curves of the study's statistics, as ``gp.curves`` returns them."""
        return self._results_of(model, benchmark).curves

    def verdicts(self) -> pl.DataFrame:
        """The verdicts on the study's claims and the paper's, as ``gp.judge`` returns them.

        They are judged now, as for the report; a large study takes minutes, once.
        """
        return self._results.report.verdicts

    def details(self, *, model: Names = None, benchmark: Names = None) -> pl.DataFrame:
        """The examples that the report shows in detail: texts, curves and ``token_losses``.

        They are those with the largest and the smallest gradients and some between.
        ``token_losses`` are null in rows that an earlier version of gradpipe measured.
        """
        return self._results_of(model, benchmark).details

    def claims(self) -> pl.DataFrame:
        """The claims that were judged: ``statement`` says what each asserts, ``source`` who."""
        return self._results.report.claims

    def findings(self) -> pl.DataFrame:
        """What the report says about each claim: title, verdict and sentences."""
        return self._results.findings()

    def chart(self, name: str, **choices: Any) -> alt.FacetChart:
        """Draw a chart of the report's page from the stored results.

        Args:
            name: A function of ``gp.charts``, for example "curves"; all but "comparison", which is
                about two studies.
            **choices: Its keyword arguments, for example ``statistic`` or ``log``. ``model`` and
                ``benchmark`` may be given for every chart.

        Returns:
            An Altair chart with its data.

        Raises:
            DataError: The results have nothing to draw, or several models or benchmarks and none is
                chosen.
            StudyError: There is no such chart, choice, model or benchmark.
            WorkspaceError: There are no statistics yet.
        """
        # Says which extra is missing, if one is.
        import_charts()
        from gradpipe.report.study_charts import study_chart

        return study_chart(self._results, name, choices)

    @cached_property
    def _results(self) -> StudyResults:
        cells = self._stored("statistics", None, None)
        return StudyResults(self.study, [stored_results(self._workspace, cell) for cell in cells])

    def _results_of(self, model: Names, benchmark: Names) -> StudyResults:
        if model is None and benchmark is None:
            return self._results
        cells = self._stored("statistics", model, benchmark)
        return self._results.of([c.model for c in cells], [c.benchmark for c in cells])

    def _stored(self, table: str, model: Names, benchmark: Names) -> list[Partition]:
        """The chosen partitions that have the table; raises WorkspaceError without any."""
        models = [self.study.model(name).name for name in _listed(model, self.models)]
        benchmarks = [
            self.study.benchmark(name).name for name in _listed(benchmark, self.benchmarks)
        ]
        cells = list(_STAGES[table].partitions(models, benchmarks))
        notes = read_notes([self._table(table, cell) for cell in cells])
        stored = [cell for cell, note in zip(cells, notes, strict=True) if note is not None]
        if not stored:
            chosen = ", ".join([*_listed(model), *_listed(benchmark)])
            raise WorkspaceError(
                f"{self._workspace.root} has no {table}{f' of {chosen}' if chosen else ''} yet: "
                f"compute them with `gradpipe run` (GRADPIPE_HOME={self._workspace.root}), and see "
                "`gradpipe status`."
            )
        return stored

    def _read(self, table: str, wanted: Sequence[pl.Expr], cell: Partition) -> pl.LazyFrame:
        """A partition of a table, lazily; only its rows for which all of ``wanted`` are true."""
        if table == "spectra":
            results = stored_results(self._workspace, cell)

            schema = spectra_of_cell(results, most=1).schema

            def collect(query: Query) -> pl.DataFrame:
                rows = spectra_of_cell(results, wanted).select(list(schema))
                return query(rows.lazy()).collect()

            return deferred(collect, schema)
        rows = self._table(table, cell).deferred().filter(*wanted)
        return (
            rows.select(pl.lit(cell.model).alias("model"), pl.all())
            if table == "examples"
            else rows
        )

    def _table(self, table: str, cell: Partition) -> Table:
        """The file of a partition of a table; of spectra, the index."""
        if table in {"examples", "spectra"}:
            return self._workspace.spectra_index(cell.model, cell.benchmark)
        if table == "alignments":
            return self._workspace.alignments(cell.model, cell.benchmark)
        return _STAGES[table].table_of(self._workspace, cell)


def _listed(names: Names, everything: Sequence[str] = ()) -> list[str]:
    if names is None:
        return list(everything)
    return [names] if isinstance(names, str) else list(names)
