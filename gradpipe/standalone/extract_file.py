"""``gradpipe extract``: a data file in, a Parquet file of spectra out, without a workspace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from gradpipe.conversations.examples import Example
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.rows import Progress
from gradpipe.models.placement import IN_ONE_PIECE, Placement
from gradpipe.models.source import AdapterReading
from gradpipe.standalone.data_source import DataSource, revision_of
from gradpipe.standalone.data_stream import RowSelection, open_data
from gradpipe.standalone.example_chunks import ExampleChunks
from gradpipe.standalone.example_runner import ExampleRunner
from gradpipe.standalone.extraction_run import ExtractionRun


def extract_file(
    data: DataSource,
    model: str,
    out: Path,
    protocol: Protocol,
    *,
    offset: int = 0,
    limit: int | None = None,
    columns: Mapping[str, str] | None = None,
    response_template: str | None = None,
    placement: Placement = IN_ONE_PIECE,
    tokenizer: str | None = None,
    adapter: AdapterReading = "merged",
    base: str | None = None,
) -> tuple[list[tuple[int, str]], int]:
    """Write the spectra of the rows of ``data`` to ``out``; ``example`` is the row's number.

    ``offset`` rows are skipped, then at most ``limit`` are read. ``columns`` and
    ``response_template`` are those of ``examples_of_table``; ``tokenizer``, ``adapter`` and
    ``base`` those of ``ExampleRunner``. Returns the unusable rows as (row number, reason), and the
    number of usable ones. The metadata of ``out`` are those of ``ExtractionRun``, which also keeps
    rows between two runs.

    Raises GradpipeError, and writes nothing, if the data, the model or the output file cannot be
    used.
    """
    selection = RowSelection(offset=offset, limit=limit)
    chunks = ExampleChunks(
        stream=open_data(data, selection),
        selection=selection,
        columns=columns,
        response_template=response_template,
    )
    runner = ExampleRunner(
        model, protocol, placement, tokenizer=tokenizer, adapter=adapter, base=base
    )
    return ExtractionRun(chunks, runner, out, revision=revision_of(data)).run()


def extract_pairs(
    pairs: Sequence[Example],
    model: str,
    protocol: Protocol,
    *,
    report: Callable[[Progress], None] = lambda _: None,
    placement: Placement = IN_ONE_PIECE,
    offset: int = 0,
    aligned: bool = True,
    sketched: bool = True,
    tokenizer: str | None = None,
    adapter: AdapterReading = "merged",
    base: str | None = None,
) -> Iterator[pl.DataFrame]:
    """Load ``model`` and yield the spectra of examples, one frame of ROW_SCHEMA per batch.

    Errors name examples by their row numbers in a file, which start at ``offset``. With ``aligned``
    false, cosines and sketches are null; with ``sketched`` false, sketches are. ``tokenizer``
    replaces the model's own. Raises ModelError or DataError; an error in the examples is raised
    before the model's weights are read. Logs how many examples are cut to the window.
    """
    runner = ExampleRunner(
        model, protocol, placement, report, tokenizer=tokenizer, adapter=adapter, base=base
    )
    yield from runner.spectra(runner.encode(pairs, offset), aligned=aligned, sketched=sketched)
