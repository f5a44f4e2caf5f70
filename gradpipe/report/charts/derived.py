"""Tables that a report reads from its workspace, derived from the spectra of a notebook instead."""

import polars as pl

from gradpipe.gradients.spectra.comparisons import SAME_LAYER
from gradpipe.statistics.alignment import ALIGNMENT_TABLE_SCHEMA, alignment_curves
from gradpipe.statistics.examples import example_scores, extremes
from gradpipe.statistics.table import EXAMPLE_COLUMNS, conform_to_schema


def cosine_curves(spectra: pl.DataFrame) -> pl.DataFrame:
    """The curves of the cosines that a labeled table of ``extract_spectra`` has.

    The kinds are "same_layer" and "next_layer", as in `alignment_curves`.
    """
    example = ("model", *EXAMPLE_COLUMNS, "layer")
    pairs = {f"{pair}_cosine": pair for pair in SAME_LAYER}
    same_layer = (
        # Each cosine of a layer is repeated for all of its projections.
        spectra.unique(example, keep="first", maintain_order=True)
        .rename(pairs)
        .unpivot(on=list(SAME_LAYER), index=example, variable_name="pair", value_name="cosine")
        .with_columns(kind=pl.lit("same_layer"))
    )
    next_layer = spectra.select(
        *example,
        pl.col("projection").alias("pair"),
        pl.col("next_layer_cosine").alias("cosine"),
        kind=pl.lit("next_layer"),
    )
    tables = [conform_to_schema(part, ALIGNMENT_TABLE_SCHEMA) for part in (same_layer, next_layer)]
    return alignment_curves(pl.concat(tables).lazy())


def extreme_examples(spectra: pl.DataFrame, most: int) -> pl.DataFrame:
    """The ``most`` examples with the largest and smallest nuclear norms, as `extremes` has them.

    ``spectra`` is a labeled table of ``extract_spectra``, of one model and benchmark. The texts are
    empty.
    """
    keyed = spectra.with_columns(
        pl.concat_str(EXAMPLE_COLUMNS, separator="\0").alias("key"),
        pl.lit("").alias("instruction"),
        pl.lit("").alias("response"),
        pl.lit(None, pl.String).alias("reason"),
    )
    texts = ("instruction", "response")
    examples = keyed.select("key", *EXAMPLE_COLUMNS, *texts).unique(maintain_order=True)

    def rows_of(keys: pl.Series) -> pl.LazyFrame:
        matrix = pl.struct("projection", "layer", "singular_values").alias("matrices")
        wanted = keyed.lazy().filter(pl.col("key").is_in(keys.implode()))
        return wanted.group_by("key", "reason", maintain_order=True).agg(matrix)

    return extremes(example_scores(spectra.lazy()), examples, rows_of, most)
