"""A row's key: what its gradient depends on, and nothing else."""

import polars as pl

from gradpipe.gradients.extract import EXTRACTOR_VERSION
from gradpipe.gradients.protocol import Protocol
from gradpipe.hashing import content_hash


def with_keys(examples: pl.DataFrame, protocol: Protocol, fingerprint: str) -> pl.DataFrame:
    """Examples with ``key``, a hash of example, protocol, model fingerprint and extractor version.

    Equal pairs have equal keys wherever they occur: their gradient is taken once.
    """
    column = content_hash(protocol.key(), fingerprint, EXTRACTOR_VERSION)
    return examples.with_columns(
        pl.col("example_id")
        .map_elements(lambda example: content_hash(column, example), return_dtype=pl.String)
        .alias("key")
    )
