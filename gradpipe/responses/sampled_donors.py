"""Irrelevant responses where a model wrote several samples per item.

An item's donor is the same for all of its samples: sample k of the item gets sample k of its
donor. So no sample receives another sample of its own item, and a claim that is paired by response
compares the mean of a donor's texts behind two instructions (see gradpipe/claims/pairing.py).
Without samples, and for sample 0, the responses are those of a study without samples.
"""

from collections.abc import Callable

import polars as pl

from gradpipe.benchmarks.items import SamplingMethod
from gradpipe.benchmarks.samples import base_item, sample_id, sample_number
from gradpipe.responses.derangement import irrelevant_responses
from gradpipe.responses.sentence_shuffle import shuffled_responses

#: A function that makes a response for each item of one benchmark and style.
DrawResponses = Callable[[pl.DataFrame, str, str, int, SamplingMethod], pl.DataFrame]


def draw_donors(
    responses: pl.DataFrame, benchmark: str, style: str, seed: int, how: SamplingMethod = "first"
) -> pl.DataFrame:
    """Pick donors as ``irrelevant_responses`` does, one per item for all of its samples.

    An item is represented by its first sample. Items without sample 0 are paired after the others,
    so that further samples leave the pairs of earlier ones unchanged. Blank texts, and texts that
    the item has itself, are skipped.
    """
    numbered = _numbered(responses)
    if not (numbered["sample"] > 0).any():
        return irrelevant_responses(responses, benchmark, style, seed, how)
    first = numbered.sort("sample").unique("base", keep="first", maintain_order=True)
    pairs = irrelevant_responses(
        first.with_columns(item_id="base"), benchmark, style, seed, how
    ).select(base="item_id", donor="donor_item_id")
    plain = pl.col("text").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    texts = numbered.with_columns(plain=plain).filter(pl.col("plain") != "")
    given = pairs.join(texts.rename({"base": "donor", "item_id": "donor_item_id"}), on="donor")
    other = given.join(texts.select("base", "plain"), on=["base", "plain"], how="anti")
    return _with_ids(other).select("item_id", "donor_item_id", "text")


def draw_shuffles(
    responses: pl.DataFrame, benchmark: str, style: str, seed: int, how: SamplingMethod = "first"
) -> pl.DataFrame:
    """Shuffle sentences as ``shuffled_responses`` does, among the samples of one number at a time.

    A further sample that only one item has gets no response.
    """
    numbered = _numbered(responses)
    parts = [
        shuffled_responses(group.with_columns(item_id="base"), benchmark, style, seed, how)
        .rename({"item_id": "base"})
        .with_columns(pl.lit(number, pl.Int64).alias("sample"))
        for (number,), group in numbered.group_by("sample", maintain_order=True)
        if not number or group.height > 1
    ]
    return _with_ids(pl.concat(parts)).select("item_id", "text")


def _numbered(responses: pl.DataFrame) -> pl.DataFrame:
    return responses.with_columns(base_item().alias("base"), sample_number()).sort("sample")


def _with_ids(made: pl.DataFrame) -> pl.DataFrame:
    ids = [sample_id(*row) for row in made.select("base", "sample").iter_rows()]
    return made.with_columns(pl.Series("item_id", ids, dtype=pl.String))
