"""Check that each style is longer than the one before it, as the style names promise."""

from itertools import pairwise

import polars as pl

from gradpipe.check import Check
from gradpipe.styles import LENGTH_STYLES, REASONING_STYLES

#: Required share of items whose next longer style is longer. The release's sets have 0.946
#: (geometry, detailed over simplified) to 1.
LONGER_SHARE = 0.9


def check_lengths(examples: pl.DataFrame) -> Check:
    """Check per item that detailed is longer than simplified, and simplified than the answer.

    Knowledge styles are compared by their lengths in the same way. ``examples`` is EXAMPLE_SCHEMA;
    only correct responses count.
    """
    lengths = (
        examples.lazy()
        .filter(pl.col("relevance") == "correct")
        .select("item_id", "style", pl.col("response").str.len_chars().alias("characters"))
        .unique(["item_id", "style"], keep="first", maintain_order=True)
    )
    steps = [*pairwise(REASONING_STYLES), *pairwise(LENGTH_STYLES)]
    shares = pl.concat(
        lengths.filter(pl.col("style") == shorter)
        .join(lengths.filter(pl.col("style") == longer), on="item_id", suffix="_longer")
        .select(
            pl.lit(f"{longer} over {shorter}").alias("step"),
            (pl.col("characters_longer") > pl.col("characters")).mean().alias("share"),
        )
        for shorter, longer in steps
    ).collect()
    found = shares.drop_nulls("share")
    notes = [f"{step} in {share:.1%} of the items" for step, share in found.iter_rows()]
    return Check(
        "styles_grow_longer",
        bool((found["share"] >= LONGER_SHARE).all()),
        "longer: " + ", ".join(notes) if notes else "there are no two styles to compare",
        dict(found.iter_rows()),
    )
