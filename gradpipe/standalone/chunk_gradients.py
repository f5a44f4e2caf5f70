"""The gradients of a chunk's examples that are not kept yet, computed and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol as Interface

import polars as pl

from gradpipe.conversations.context import exact_context
from gradpipe.conversations.examples import Example
from gradpipe.engines.work import Work
from gradpipe.gradients.rows import Progress
from gradpipe.standalone.example_chunks import ExampleChunk
from gradpipe.standalone.example_runner import ExampleRunner
from gradpipe.standalone.kept_rows import RowKeeper

#: What is kept of computed rows: KEPT_SPECTRA in, the schema of the keeper out.
RowsKept = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True, kw_only=True)
class MissingRows:
    """Examples of a chunk to compute: ``numbers`` in the data, ``keys`` to keep them under.

    ``first_row`` is the number of the chunk's first row. ``aligned``: with cosines and sketches;
    ``sketched`` false: without the sketches.
    """

    first_row: int
    numbers: Sequence[int]
    examples: Sequence[Example]
    keys: Sequence[str]
    aligned: bool = True
    sketched: bool = True

    @classmethod
    def of_chunk(
        cls,
        chunk: ExampleChunk,
        keys: Sequence[str],
        missing: Sequence[str],
        *,
        aligned: bool = True,
        sketched: bool = True,
    ) -> MissingRows:
        """The examples with one of the ``missing`` keys; ``keys`` are those of all."""
        place = {key: number for number, key in reversed(list(enumerate(keys)))}
        places = [place[key] for key in missing]
        return cls(
            first_row=chunk.rows[0],
            numbers=[chunk.rows[number] for number in places],
            examples=[chunk.examples[number] for number in places],
            keys=list(missing),
            aligned=aligned,
            sketched=sketched,
        )


class Gradients(Interface):
    """Computes rows and keeps them."""

    def compute(
        self,
        rows: MissingRows,
        keeper: RowKeeper,
        kept: RowsKept,
        report: Callable[[Progress], None],
    ) -> None:
        """Compute ``rows`` and keep what ``kept`` makes of them; returns when all are kept.

        Raises ModelError or DataError.
        """


class LocalGradients:
    """Computes rows in this process. ``alone``: with the losses of responses without prompts."""

    def __init__(self, runner: ExampleRunner, *, alone: bool = False) -> None:
        self._runner = runner
        self._alone = alone

    def compute(
        self,
        rows: MissingRows,
        keeper: RowKeeper,
        kept: RowsKept,
        report: Callable[[Progress], None],
    ) -> None:
        """As in Gradients."""
        for _ in keeper.keep(rows.first_row, map(kept, self._frames(rows, report))):
            pass

    def _frames(
        self, rows: MissingRows, report: Callable[[Progress], None]
    ) -> Iterator[pl.DataFrame]:
        encoded = self._runner.encode(rows.examples, numbers=rows.numbers, note=False)
        columns: dict[str, Sequence[str | float | None]] = {"key": rows.keys}
        if self._alone:
            columns["alone"] = self._runner.losses_alone(encoded)
        named = pl.DataFrame(
            columns, schema_overrides={"key": pl.String, "alone": pl.Float64}
        ).with_row_index("row")
        named = named.cast({"row": pl.Int64})
        frames = self._runner.spectra(
            encoded, aligned=rows.aligned, sketched=rows.sketched, report=report
        )
        for frame in frames:
            yield named.join(frame, on="row", maintain_order="right").drop("row")


class Engine(Interface):
    """Computes and stores the rows of a work: an engine of ``gradpipe.engines``."""

    def extract(self, work: Work) -> None:
        """Return when every row is in the store."""


@dataclass(frozen=True)
class _Keep:
    """Keeps rows; other processes get a copy of it."""

    kept: RowsKept
    append: Callable[[pl.DataFrame], None]

    def __call__(self, rows: pl.DataFrame) -> None:
        self.append(self.kept(rows))


class EngineGradients:
    """Computes rows on an engine, whose processes keep them."""

    def __init__(self, runner: ExampleRunner, engine: Engine) -> None:
        self._runner = runner
        self._engine = engine

    def compute(
        self,
        rows: MissingRows,
        keeper: RowKeeper,
        kept: RowsKept,
        report: Callable[[Progress], None],
    ) -> None:
        """As in Gradients."""
        order, segment = self._runner.order, keeper.segment(rows.first_row)
        work = Work(
            source=order.source,
            name=order.name,
            fingerprint=order.fingerprint,
            protocol=self._runner.protocol.for_model(order.name),
            examples=_examples_table(rows),
            append=_Keep(kept, segment.append),
            missing=segment.missing,
            report=report,
            placement=order.placement,
        )
        self._engine.extract(work)
        segment.compact()


def _examples_table(rows: MissingRows) -> pl.DataFrame:
    """The examples as an engine takes them."""
    return pl.DataFrame(
        {
            "key": rows.keys,
            "instruction": None,
            "response": None,
            "context": list(map(exact_context, rows.examples)),
            "benchmark": "row",
            "index": rows.numbers,
            "style": "",
            "relevance": "",
        },
        schema_overrides={"instruction": pl.String, "response": pl.String},
    )
