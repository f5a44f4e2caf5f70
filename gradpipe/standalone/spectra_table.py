"""The table of ``gradpipe extract``: one row per (example, layer, projection), with statistics."""

import polars as pl

from gradpipe.gradients.rows import explode_layers, explode_matrices, explode_spans
from gradpipe.gradients.spectra.comparisons import SAME_LAYER
from gradpipe.models.roles import PROJECTION_ORDER
from gradpipe.statistics.reductions import reduce_spectra

#: The statistics that the table has.
EXTRACT_STATISTICS = (
    "nuclear_norm",
    "spectral_norm",
    "sigma1_ratio",
    "frobenius_norm",
    "effective_rank",
)
#: Columns that only some tables have: the parts of gradients.
PARTS = ("experts", "heads")


def spectra_table(rows: pl.DataFrame) -> pl.DataFrame:
    """Extracted rows (ROW_SCHEMA) as the table of ``gradpipe extract``, ordered by example.

    ``truncated`` says whether the example was cut to the window. Each cosine of a layer is repeated
    in all rows of that layer. ``span`` is null for the whole response; the rows of its spans
    follow, in their order, without cosines. ``experts`` and ``heads`` are there if a gradient has
    them (see ``part_tables``).
    """
    whole = explode_matrices(rows.lazy()).join(
        explode_layers(rows.lazy()), on=["row", "layer"], how="left"
    )
    spans = explode_spans(rows.lazy())
    place = pl.col("span").rle_id().over("row")
    both = pl.concat(
        [whole.with_columns(place=pl.lit(None, pl.UInt32)), spans.with_columns(place=place)],
        how="diagonal",
    )
    table = (
        reduce_spectra(both, EXTRACT_STATISTICS)
        .sort("row", "place", "layer", pl.col("projection").cast(pl.Enum(PROJECTION_ORDER)))
        .select(
            pl.col("row").alias("example"),
            "span",
            "loss",
            "tokens",
            "response_tokens",
            "truncated",
            "layer",
            "projection",
            *EXTRACT_STATISTICS,
            "next_layer_cosine",
            *(f"{pair}_cosine" for pair in SAME_LAYER),
            "layer_type",
            "token_norms",
            "token_energy",
            "singular_values",
            *PARTS,
        )
        .collect()
    )
    return table.drop(name for name in PARTS if table[name].null_count() == table.height)
