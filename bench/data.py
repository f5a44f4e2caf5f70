"""The rows to measure: a benchmark's examples of each style, as tokens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.read import read_items
from gradpipe.conversations.examples import Pair
from gradpipe.errors import DataError
from gradpipe.gradients.encoder import Encoder
from gradpipe.gradients.protocol import STANDARD
from gradpipe.gradients.tokens import TokenRow
from gradpipe.responses.build import build_examples

if TYPE_CHECKING:
    from gradpipe.models.load import LoadedModel

#: The paper's own files, if they are in a folder beside the project.
BESIDE = Path(__file__).resolve().parents[2] / "shared" / "layer-gradient"


@dataclass(frozen=True)
class Source:
    """Items with responses, and their name in a report."""

    name: str
    items: pl.DataFrame


def find_source(path: Path | None = None) -> Source:
    """GSM8K of the paper's release, from the folder ``path``, beside the project, or the network.

    A ``path`` to a file is a table with an instruction and one column per style. Without a folder
    and a network, gradpipe's own small benchmark. Raises DataError.
    """
    if path is not None and not path.is_dir():
        table = BenchmarkConfig(name=path.stem, source="files", path=str(path))
        return Source(path.name, read_items(table))
    folder = path or (BESIDE if BESIDE.is_dir() else None)
    release = BenchmarkConfig(
        name="gsm8k", source="release", path=None if folder is None else str(folder)
    )
    try:
        return Source("GSM8K of the paper's release", read_items(release))
    except DataError:
        if folder is not None:
            raise
    mini = read_items(BenchmarkConfig(name="mini_maths", source="mini"))
    return Source("gradpipe's own mini_maths (the paper's release could not be reached)", mini)


def encode_style(loaded: LoadedModel, source: Source, style: str, count: int) -> list[TokenRow]:
    """The first ``count`` usable examples of one style; raises DataError without any."""
    examples = build_examples(source.items, [style], ["correct"], "release", seed=0)
    pairs = [
        Pair(instruction, response)
        for instruction, response in examples.select("instruction", "response").iter_rows()
    ]
    encoder = Encoder(loaded.tokenizer, STANDARD, loaded.name, loaded.window)
    rows = [row for row in encoder.encode_all(pairs[: 2 * count]) if row.reason is None]
    if not rows:
        raise DataError(f"{source.name} has no usable example of the style {style!r}.")
    return rows[:count]


def spread(rows: list[TokenRow], count: int) -> list[int]:
    """The numbers of ``count`` rows, spread evenly over the lengths."""
    ordered = by_length(rows)
    count = min(count, len(rows))
    return [ordered[int((number + 0.5) * len(rows) / count)] for number in range(count)]


def around_median(rows: list[TokenRow], tokens: int) -> list[int]:
    """The numbers of rows around the median length, with ``tokens`` in total; at least one row."""
    ordered = by_length(rows)
    middle = (len(ordered) - 1) / 2
    taken: list[int] = []
    for place in sorted(range(len(ordered)), key=lambda place: abs(place - middle)):
        tokens -= len(rows[ordered[place]].ids)
        if taken and tokens < 0:
            break
        taken.append(ordered[place])
    return taken


def by_length(rows: list[TokenRow]) -> list[int]:
    """The rows' numbers, shortest first."""
    return sorted(range(len(rows)), key=lambda number: len(rows[number].ids))


def count_tokens(rows: list[TokenRow]) -> int:
    """Tokens of prompt and response of all rows."""
    return sum(len(row.ids) for row in rows)
