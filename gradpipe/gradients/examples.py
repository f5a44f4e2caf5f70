"""Gradients of examples that carry keys: what a cached pipeline extracts."""

from collections.abc import Callable, Iterator

import polars as pl

from gradpipe.gradients.extract import Progress, extract_rows
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.tokens import Encoder, Pair
from gradpipe.models.load import LoadedModel


def extract_examples(
    loaded: LoadedModel,
    examples: pl.DataFrame,
    protocol: Protocol,
    report: Callable[[Progress], None] = lambda _: None,
) -> Iterator[pl.DataFrame]:
    """Rows of ROW_SCHEMA with ``key`` in place of ``row``, one frame a batch.

    ``examples`` are EXAMPLE_SCHEMA with ``key``. Raises DataError where the protocol
    refuses a response that is longer than the window.
    """
    encoder = Encoder(loaded.tokenizer, protocol, loaded.name, loaded.window)
    pairs = [Pair(*row) for row in examples.select("instruction", "response").iter_rows()]
    name = pl.format("{} {} {} {}", "benchmark", "index", "style", "relevance")
    names = examples.select(name).to_series().to_list()
    keys = examples.select(pl.int_range(pl.len(), dtype=pl.Int64).alias("row"), "key")
    for frame in extract_rows(loaded, encoder.encode_all(pairs, names), protocol, report):
        yield keys.join(frame, on="row", maintain_order="right").drop("row")
