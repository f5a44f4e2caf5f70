"""The image files of a kind of chart: which tables they draw, and the names in their file names."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import polars as pl

from gradpipe.report.chart_data import distinct
from gradpipe.report.report_data import ReportInputs


class ChartFile(NamedTuple):
    """One image file: the table that it draws, its title, and the names after the kind's name.

    ``statistic`` is named on an axis.
    """

    names: tuple[str, ...]
    table: pl.DataFrame
    title: str
    statistic: str | None = None


#: The files of a kind of chart, for results and the name of the statistic that files are about.
FilesOf = Callable[[ReportInputs, str], Iterator[ChartFile]]
TableOf = Callable[[ReportInputs], pl.DataFrame]


def files_of_cells(
    table_of: TableOf, *, of_statistic: bool = False, labeled: str | None = None
) -> FilesOf:
    """One file per model and benchmark of a table.

    ``of_statistic``: of the rows of one statistic. ``labeled``: the statistic on an axis otherwise.
    """

    def files(inputs: ReportInputs, statistic: str) -> Iterator[ChartFile]:
        table = table_of(inputs)
        if of_statistic:
            table = table.filter(pl.col("statistic") == statistic)
        for model in distinct(table, "model"):
            of_model = table.filter(pl.col("model") == model)
            for benchmark in distinct(of_model, "benchmark"):
                rows = of_model.filter(pl.col("benchmark") == benchmark)
                title = f"{model} · {benchmark}"
                if of_statistic:
                    yield ChartFile((model, benchmark, statistic), rows, title, statistic)
                else:
                    yield ChartFile((model, benchmark), rows, title, labeled)

    return files


def files_of_models(table_of: TableOf) -> FilesOf:
    """One file per model of a table, of the rows of one statistic."""

    def files(inputs: ReportInputs, statistic: str) -> Iterator[ChartFile]:
        table = table_of(inputs).filter(pl.col("statistic") == statistic)
        for model in distinct(table, "model"):
            rows = table.filter(pl.col("model") == model)
            yield ChartFile((model, statistic), rows, model, statistic)

    return files
