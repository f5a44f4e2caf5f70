"""``gradpipe extract``: a data file in, a Parquet file of spectra out, without a workspace."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from gradpipe.conversations.examples import Example, hash_examples
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.rows import Progress
from gradpipe.models.placement import IN_ONE_PIECE, Placement
from gradpipe.models.source import AdapterReading
from gradpipe.standalone.data_source import DataSource, revision_of, rows_of_source
from gradpipe.standalone.example_runner import ExampleRunner
from gradpipe.standalone.output_file import check_writable, write_atomically
from gradpipe.standalone.spectra_table import spectra_table
from gradpipe.standalone.user_examples import examples_of_table


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
    report: Callable[[Progress], None] = lambda _: None,
    placement: Placement = IN_ONE_PIECE,
    tokenizer: str | None = None,
    adapter: AdapterReading = "merged",
    base: str | None = None,
) -> tuple[list[tuple[int, str]], int]:
    """Write the spectra of the rows of ``data`` to ``out``; ``example`` is the row's number.

    ``offset`` rows are skipped, then at most ``limit`` are read. ``columns`` and
    ``response_template`` are those of ``examples_of_table``; ``tokenizer``, ``adapter`` and
    ``base`` those of ``ExampleRunner``. Returns the unusable rows as (row number, reason), and the
    number of usable ones. The Parquet metadata of ``out`` has the unusable rows under ``unusable``,
    a hash of all examples under ``pairs``, and for a data set of the hub its commit under
    ``data_revision``.

    Raises GradpipeError, and writes nothing, if the data, the model or the output file cannot be
    used.
    """
    taken = rows_of_source(data, offset, limit)
    pairs = examples_of_table(taken, str(data), columns, response_template)
    check_writable(out)
    tables, reasons = [], []
    batches = extract_pairs(
        pairs,
        model,
        protocol,
        report=report,
        placement=placement,
        offset=offset,
        tokenizer=tokenizer,
        adapter=adapter,
        base=base,
        # The table has none.
        sketched=False,
    )
    for frame in batches:
        rows = frame.with_columns(pl.col("row") + offset)
        tables.append(spectra_table(rows))
        reasons.append(rows.filter(pl.col("reason").is_not_null()).select("row", "reason"))
    # A batch without usable rows has no columns of parts.
    table = pl.concat(tables, how="diagonal").sort("example", maintain_order=True)
    unusable = pl.concat(reasons).sort("row").rows()
    metadata = {"unusable": json.dumps(unusable), "pairs": hash_examples(pairs)}
    if revision := revision_of(data):
        metadata["data_revision"] = revision
    write_atomically(
        out, lambda path: table.write_parquet(path, compression="zstd", metadata=metadata)
    )
    return unusable, len(pairs) - len(unusable)


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
