"""An extraction of a whole file, for tests in which the command line plays no part."""

from pathlib import Path
from typing import Any

from gradpipe.gradients.protocol import Protocol
from gradpipe.standalone.data_source import DataSource, revision_of
from gradpipe.standalone.data_stream import RowSelection, open_data
from gradpipe.standalone.example_chunks import ExampleChunks
from gradpipe.standalone.example_runner import ExampleRunner
from gradpipe.standalone.extraction_run import ExtractionRun


def run_extraction(
    data: DataSource,
    model: Path | str,
    out: Path,
    protocol: Protocol,
    *,
    limit: int | None = None,
    offset: int = 0,
    columns: dict[str, str] | None = None,
    response_template: str | None = None,
    **of_runner: Any,
) -> tuple[list[tuple[int, str]], int]:
    """Write the spectra of a file's rows; the unusable rows, and the number of usable ones."""
    selection = RowSelection(offset=offset, limit=limit)
    chunks = ExampleChunks(
        stream=open_data(data, selection),
        selection=selection,
        columns=columns,
        response_template=response_template,
    )
    runner = ExampleRunner(str(model), protocol, **of_runner)
    return ExtractionRun(chunks, runner, out, revision=revision_of(data)).run()
