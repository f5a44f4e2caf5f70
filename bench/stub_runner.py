"""A runner whose spectra cost nothing: what remains is reading, keeping and writing rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import polars as pl

from gradpipe.conversations.examples import Example, texts_of
from gradpipe.gradients.protocol import STANDARD, Protocol, make_protocol
from gradpipe.gradients.rows import MATRIX, ROW_SCHEMA, Progress
from gradpipe.gradients.tokens import TokenRow, unusable_row
from gradpipe.standalone.example_keys import ExampleKeys
from gradpipe.standalone.example_runner import ExampleRunner, OverlongResponses
from gradpipe.system.hashing import content_hash

#: Rows of a batch.
BATCH = 256


class StubRunner(ExampleRunner):
    """Gives each example a spectrum that its text decides; an empty response is unusable.

    A row has ``layers`` times four matrices of ``values`` singular values. ``computed`` counts the
    rows, ``after`` is called with it after each batch.
    """

    def __init__(
        self,
        *,
        layers: int = 1,
        values: int = 16,
        batch: int = BATCH,
        protocol: Protocol = STANDARD,
        after: Callable[[int], None] = lambda _: None,
    ) -> None:
        super().__init__("stub", protocol)
        self.computed = 0
        self._layers = layers
        self._values = values
        self._batch = batch
        self._after = after

    @property
    def keys(self) -> ExampleKeys:
        """Keys of a model that does not exist."""
        return ExampleKeys(protocol=self.protocol, identity="stub")

    @property
    def window(self) -> int:
        """The window of the stub."""
        return 8192

    def overlong(self) -> OverlongResponses:
        """No response is too long."""
        return OverlongResponses(lambda: self._encoder, make_protocol("paper"))

    def encode(
        self,
        examples: Sequence[Example],
        offset: int = 0,
        name: str = "row",
        *,
        numbers: Sequence[int] | None = None,
        note: bool = True,
    ) -> list[TokenRow]:
        """One token per example, the hash of its texts."""
        del offset, name, numbers, note
        return [_row(example) for example in examples]

    def spectra(
        self,
        rows: list[TokenRow],
        *,
        aligned: bool = True,
        sketched: bool = True,
        report: Callable[[Progress], None] | None = None,
    ) -> Iterator[pl.DataFrame]:
        """Frames of ROW_SCHEMA, shortest rows last as in an extraction."""
        del aligned, sketched
        order = list(reversed(range(len(rows))))
        for start in range(0, len(order), self._batch):
            numbers = order[start : start + self._batch]
            yield self._frame(rows, numbers)
            self.computed += len(numbers)
            done = start + len(numbers)
            if report is not None:
                report(Progress(rows=done, tokens=done, all_rows=len(rows), all_tokens=len(rows)))
            self._after(self.computed)

    def losses_alone(self, rows: list[TokenRow]) -> list[float | None]:
        """Twice the loss."""
        return [None if row.reason else 2.0 * (row.ids[0] % 97 + 1) / 97 for row in rows]

    def _frame(self, rows: list[TokenRow], numbers: list[int]) -> pl.DataFrame:
        usable = [number for number in numbers if rows[number].reason is None]
        matrices = self._matrices([rows[number].ids[0] for number in usable], usable)
        frame = pl.DataFrame({"row": numbers}, {"row": pl.Int64}).join(
            matrices, on="row", how="left", maintain_order="left"
        )
        seeds = [rows[number].ids[0] if rows[number].reason is None else 0 for number in numbers]
        empty = {name: pl.lit([], kind) for name, kind in ROW_SCHEMA.items() if "List" in str(kind)}
        return (
            frame.with_columns(
                loss=pl.Series([(seed % 97 + 1) / 97 for seed in seeds]),
                tokens=pl.lit(9, pl.Int64),
                response_tokens=pl.Series([seed % 31 + 1 for seed in seeds], dtype=pl.Int64),
                truncated=pl.lit(value=False),
                reason=pl.Series([rows[number].reason for number in numbers], dtype=pl.String),
                seconds=pl.lit(0.0),
                hardware=pl.lit("stub"),
                matrices=pl.col("matrices")
                .cast(ROW_SCHEMA["matrices"])
                .fill_null(empty["matrices"]),
                layers=empty["layers"],
                spans=empty["spans"],
                gaps=empty["gaps"],
                token_losses=empty["token_losses"],
            )
            .select(*ROW_SCHEMA)
            .cast(ROW_SCHEMA)
        )

    def _matrices(self, seeds: Sequence[int], numbers: Sequence[int]) -> pl.DataFrame:
        """One row per usable example: ``row`` and ``matrices``."""
        per = 4 * self._layers
        places = np.arange(len(seeds) * per) % per
        seed = np.repeat(np.asarray(seeds, np.float64), per)
        shape = 1 + np.arange(self._values)[None] * ((seed + places) % 13 + 1)[:, None] / 50
        values = np.sort(1 / shape, axis=1)[:, ::-1].astype(np.float32)
        known = {
            "layer": pl.Series(places // 4, dtype=pl.Int64),
            "projection": pl.Series(["q", "k", "v", "o"] * (len(seeds) * self._layers)),
            "frobenius_norm": pl.Series(np.linalg.norm(values.astype(np.float64), axis=1)),
        }
        if len(values):
            known["singular_values"] = pl.Series(values).arr.to_list()
        fields = [
            known[field.name].alias(field.name)
            if field.name in known
            else pl.lit(None, field.dtype).alias(field.name)
            for field in MATRIX.fields
        ]
        rows = pl.DataFrame({"row": np.repeat(np.asarray(numbers, np.int64), per)})
        packed = rows.with_columns(fields).select(
            "row", pl.struct([field.name for field in MATRIX.fields]).alias("m")
        )
        return packed.group_by("row", maintain_order=True).agg(pl.col("m").alias("matrices"))


def _row(example: Example) -> TokenRow:
    instruction, response = texts_of(example)
    if not response:
        return unusable_row("the response is empty")
    seed = int(content_hash(instruction, response)[:8], 16)
    return TokenRow(ids=[seed], start=0, truncated=False)
