"""What of a study is there: the state of every stage and partition."""

from collections.abc import Callable, Iterator
from functools import partial

from assets.versions import Versions
from gradpipe.studies.study import Study
from storage.tables import Table
from storage.workspace import Workspace

State = tuple[str, str, str, str]


def stage_states(workspace: Workspace, study: Study) -> Iterator[State]:
    """(stage, partition, ``current`` | ``out of date`` | ``missing``, rows), stage by stage.

    A stage is out of date where its own inputs changed; what hangs on it follows when it has run.
    """
    versions = Versions(workspace, study)
    for benchmark in study.benchmarks:
        name = benchmark.name
        items, examples = workspace.items(name), workspace.responses(name)
        yield _state("benchmark_items", name, items, partial(versions.items, name))
        yield _state("responses", name, examples, partial(versions.responses, name))
    for model in study.models:
        for benchmark in study.benchmarks:
            cell = (model.name, benchmark.name)
            label = " × ".join(cell)
            index, table = workspace.spectra_index(*cell), workspace.statistics(*cell)
            yield _state("gradient_spectra", label, index, partial(versions.spectra, *cell))
            yield _state("spectral_statistics", label, table, partial(versions.statistics, *cell))
    yield _state("report", "", workspace.report_notes(), versions.report)


def _state(stage: str, partition: str, table: Table, version: Callable[[], str]) -> State:
    notes = table.notes()
    if notes is None:
        return stage, partition, "missing", ""
    state = "current" if notes.version == version() else "out of date"
    return stage, partition, state, str(notes.rows)
