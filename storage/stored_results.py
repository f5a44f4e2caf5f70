"""The results of one model on one benchmark, as a report reads them from a workspace."""

from gradpipe.report.cell_results import CellResults
from storage.stages import Partition
from storage.workspace import Workspace


def stored_results(workspace: Workspace, cell: Partition) -> CellResults:
    """The results of one cell, whose files are read when they are needed.

    Raises DamagedError if a table is missing or damaged.
    """
    model, benchmark = cell.model, cell.benchmark
    return CellResults(
        model=model,
        benchmark=benchmark,
        examples=workspace.spectra_index(model, benchmark).deferred(),
        statistics=workspace.statistics(model, benchmark).deferred(),
        alignments=workspace.alignments(model, benchmark).deferred(),
        sets=workspace.example_sets(model, benchmark).deferred(),
        rows_of=workspace.spectra(model, benchmark).scan,
    )
