"""The rows of a table, extracted chunk by chunk and written in order to one file or to shards."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import polars as pl

from gradpipe.gradients.rows import MATRIX, ROW_SCHEMA
from gradpipe.gradients.tokens import truncation_sentence
from gradpipe.standalone.chunk_gradients import Gradients, LocalGradients, MissingRows
from gradpipe.standalone.example_chunks import ExampleChunk, ExampleChunks
from gradpipe.standalone.example_runner import ExampleRunner
from gradpipe.standalone.kept_rows import KEPT_SPECTRA, KeptRows, NothingKept, RowKeeper
from gradpipe.standalone.output_file import check_writable
from gradpipe.standalone.run_plan import plan_run
from gradpipe.standalone.run_progress import ProgressOfRun, RunProgress
from gradpipe.standalone.shard_files import shard_paths
from gradpipe.standalone.spectra_table import spectra_table
from gradpipe.standalone.spectra_writer import (
    SpectraWriter,
    file_metadata,
    listed_unusable,
    spectra_file,
)
from gradpipe.statistics.reductions import STATISTICS_VERSION
from gradpipe.system.atomic_files import sweep_leftovers

#: The kind of kept rows with spectra.
SPECTRA = "spectra"
#: Gradients whose spectra are written at once.
_MATRICES = 2**13
_log = logging.getLogger(__name__)


class ExtractionRun:
    """``gradpipe extract`` of the examples of ``chunks``.

    ``kept`` keeps finished rows between two runs; by default, none are. ``gradients`` computes
    them, by default in this process. With ``shard_size``, ``out`` is a folder of files with the
    spectra of that many examples each.

    The Parquet metadata of a file has its unusable rows under ``unusable``, a hash of its examples
    under ``pairs``, one of their numbers in the data under ``numbers`` and how many they are under
    ``rows``, a hash of model and protocol under ``extraction``, the model's name and the protocol,
    and for a data set of the hub the commit (``revision``) under ``data_revision``.
    """

    def __init__(
        self,
        chunks: ExampleChunks,
        runner: ExampleRunner,
        out: Path,
        *,
        kept: KeptRows | None = None,
        gradients: Gradients | None = None,
        shard_size: int | None = None,
        revision: str | None = None,
        report: Callable[[RunProgress], None] = lambda _: None,
    ) -> None:
        self._chunks = chunks
        self._runner = runner
        self._out = out
        self._keeper = RowKeeper(kept or NothingKept(), SPECTRA, KEPT_SPECTRA)
        self._gradients = gradients or LocalGradients(runner)
        self._shard_size = shard_size
        self._revision = revision
        self._report = report
        self._unusable: list[tuple[int, str]] = []
        self._truncated = 0

    def run(self) -> tuple[list[tuple[int, str]], int]:
        """Write the table; returns the unusable rows with their reasons, and the number of others.

        Raises GradpipeError; shards that are finished stay, and so do all kept rows.
        """
        first = next(iter(self._chunks))
        if self._shard_size is None:
            check_writable(self._out)
        del first
        self._keys = self._runner.keys
        plan = plan_run(self._chunks, self._runner, self._keys.of, self._keeper)
        paths = shard_paths(self._out, plan.rows, self._shard_size)
        sweep_leftovers(paths[0].parent)
        self._progress = ProgressOfRun(plan.rows, plan.kept, self._report)
        for path, shard, hashes in zip(paths, self._shards(), plan.shards, strict=True):
            metadata = file_metadata(path)
            same = {"pairs": hashes[0], "numbers": hashes[1], "extraction": self._extraction}
            same |= self._commit
            if all(metadata.get(name) == value for name, value in same.items()):
                self._unusable += listed_unusable(metadata)
                for _ in shard:
                    pass
            else:
                self._write(path, shard, same)
        usable = plan.rows - len(self._unusable)
        if self._truncated:
            _log.warning("%s", truncation_sentence(self._truncated, usable, self._runner.window))
        return self._unusable, usable

    @property
    def _extraction(self) -> str:
        return f"{self._keys.of_run}-{STATISTICS_VERSION}"

    @property
    def _commit(self) -> dict[str, str]:
        return {"data_revision": self._revision} if self._revision else {}

    def _shards(self) -> Iterator[Iterable[ExampleChunk]]:
        size = self._shard_size
        for _, chunks in groupby(self._chunks, lambda chunk: size and chunk.first // size):
            yield chunks

    def _write(self, path: Path, chunks: Iterable[ExampleChunk], metadata: dict[str, str]) -> None:
        unusable: list[tuple[int, str]] = []
        rows = 0
        with spectra_file(path) as writer:
            writer.write(spectra_table(pl.DataFrame(schema=ROW_SCHEMA)))
            for chunk in chunks:
                unusable += self._write_chunk(chunk, writer)
                rows += len(chunk.rows)
            writer.finish(
                {
                    "unusable": json.dumps(unusable),
                    "rows": str(rows),
                    "model": self._runner.model,
                    "protocol": json.dumps(self._keys.protocol.key()),
                    **metadata,
                }
            )
        self._unusable += unusable

    def _write_chunk(self, chunk: ExampleChunk, writer: SpectraWriter) -> list[tuple[int, str]]:
        """Write the spectra of a chunk; return its unusable rows."""
        keys, first = self._keys.of(chunk.examples), chunk.rows[0]
        if missing := self._keeper.gather(first, keys):
            rows = MissingRows.of_chunk(chunk, keys, missing, sketched=False)
            self._gradients.compute(rows, self._keeper, without_sketches, self._progress.chunk)
            self._progress.chunk_ended()
        found = self._keeper.rows(first, keys).with_columns(pl.Series("row", chunk.rows))
        for part in _slices(found):
            writer.write(spectra_table(part))
        unusable = pl.col("reason").is_not_null()
        self._truncated += found.filter(~unusable, pl.col("truncated")).height
        return found.filter(unusable).select("row", "reason").rows()


def without_sketches(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows without the sketches of their gradients, which the table of spectra does not have."""
    kept = [
        pl.lit(None, field.dtype).alias(field.name)
        if field.name == "sketch"
        else pl.element().struct.field(field.name)
        for field in MATRIX.fields
    ]
    return rows.with_columns(pl.col("matrices").list.eval(pl.struct(kept)))


def _slices(rows: pl.DataFrame) -> Sequence[pl.DataFrame]:
    """Rows in slices of about _MATRICES gradients."""
    spans = pl.col("spans").list.len().fill_null(0) + 1
    most = rows.select((pl.col("matrices").list.len() * spans).max()).item() or 1
    return list(rows.iter_slices(max(1, _MATRICES // int(most))))
