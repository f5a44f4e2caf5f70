"""Extract the gradient spectra of keyed examples, for a store that caches rows by key."""

import logging
from collections.abc import Callable, Iterator

import polars as pl

from gradpipe.conversations.context import example_of
from gradpipe.gradients.encoder import Encoder
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.rows import Progress
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel, config_of, config_window, tokenizer_of
from gradpipe.models.source import ModelSource

_log = logging.getLogger(__name__)


def extract_examples(
    loaded: LoadedModel,
    examples: pl.DataFrame,
    protocol: Protocol,
    report: Callable[[Progress], None] = lambda _: None,
    budget: int | None = None,
) -> Iterator[pl.DataFrame]:
    """Yield one frame per batch: ROW_SCHEMA with ``key`` instead of ``row``.

    ``examples`` are EXAMPLE_SCHEMA with ``key``. ``budget`` is passed to ``extract_rows``. Raises
    DataError if a response is longer than the window and the protocol refuses such responses.
    """
    encoder = Encoder(loaded.tokenizer, protocol, loaded.name, loaded.window)
    for note in encoder.notes:
        _log.info("%s", note)
    keys = examples.select(pl.int_range(pl.len(), dtype=pl.Int64).alias("row"), "key")
    for frame in extract_rows(loaded, _encode(encoder, examples), protocol, report, budget):
        yield keys.join(frame, on="row", maintain_order="right").drop("row")


def count_tokens(
    source: ModelSource, name: str, protocol: Protocol, examples: pl.DataFrame
) -> pl.Series:
    """Count the tokens of each example (EXAMPLE_SCHEMA) for a model; its weights are not loaded.

    ``source`` is pinned, and ``name`` is the user's name for the model. Unusable examples count as
    0. Raises the ModelError or DataError that an extraction would.
    """
    rows = encode_examples(source, name, protocol, examples)
    return pl.Series("tokens", [0 if row.reason else len(row.ids) for row in rows], pl.Int64)


def encode_examples(
    source: ModelSource, name: str, protocol: Protocol, examples: pl.DataFrame
) -> list[TokenRow]:
    """Tokenize examples (EXAMPLE_SCHEMA) as ``count_tokens`` does."""
    window = config_window(config_of(source, name))
    return _encode(Encoder(tokenizer_of(source, name), protocol, name, window), examples)


def _encode(encoder: Encoder, examples: pl.DataFrame) -> list[TokenRow]:
    if "context" not in examples.columns:
        examples = examples.with_columns(context=pl.lit(None, dtype=pl.String))
    rows = examples.select("instruction", "response", "context").iter_rows()
    read = [example_of(*row) for row in rows]
    name = pl.format("{} {} {} {}", "benchmark", "index", "style", "relevance")
    return encoder.encode_all(read, examples.select(name).to_series().to_list())
