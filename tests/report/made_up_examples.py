"""Made-up curves of cosines, single examples, their texts and spectra, and twins of models."""

import numpy as np
import polars as pl

from gradpipe.report.report_data import (
    ALIGNMENT_SCHEMA,
    EXAMPLE_SCORE_SCHEMA,
    EXTREME_SCHEMA,
    TWIN_SCHEMA,
)
from gradpipe.statistics.example_details import DETAIL_SCHEMA
from gradpipe.statistics.examples import SCORES
from tests.report.made_up import LENGTHS, SIZES, styles_of

KEYS = ["model", "benchmark", "family"]
PAIRS = {"same_layer": ["q_o", "q_ot", "k_v"], "next_layer": ["q", "k", "v", "o"]}
#: What stands behind a base model's name in its tuned twin's.
ENDINGS = ("-it", "-Instruct", "-chat-hf", "-tuned")


def twins_of(models: list[str]) -> pl.DataFrame:
    """Pairs of names: ``x-base`` and ``x``, or ``x`` and one of ENDINGS behind it."""
    named = [(f"{model}-base", model) for model in models]
    named += [(model, model.removesuffix("-hf") + end) for model in models for end in ENDINGS]
    pairs = [pair for pair in named if set(pair) <= set(models)]
    return pl.DataFrame(pairs, schema=TWIN_SCHEMA, orient="row")


def alignment_of(
    models: list[str], benchmarks: dict[str, str], layers: int, examples: int
) -> pl.DataFrame:
    """Cosines of all three kinds for every style, and for each projection's responses."""
    pairs = [(kind, pair) for kind, names in PAIRS.items() for pair in names]
    alone = (
        pl.DataFrame({"model": models})
        .join(styles_of(benchmarks), how="cross")
        .join(pl.DataFrame({"relevance": ["correct", "irrelevant"]}), how="cross")
        .join(pl.DataFrame(pairs, schema=["kind", "pair"], orient="row"), how="cross")
        .with_columns(
            pl.lit(None, dtype=pl.String).alias("against_style"),
            pl.lit(None, dtype=pl.String).alias("against_relevance"),
        )
    )
    compared = [
        ("none", "correct", "detailed", "correct"),
        ("none", "correct", "none", "irrelevant"),
        ("detailed", "correct", "detailed", "irrelevant"),
        ("length_500", "correct", "length_500", "irrelevant"),
    ]
    columns = ["style", "relevance", "against_style", "against_relevance"]
    between = (
        pl.DataFrame({"model": models})
        .join(styles_of(benchmarks), how="cross")
        .join(pl.DataFrame(compared, schema=columns, orient="row"), on="style")
        .join(pl.DataFrame({"pair": PAIRS["next_layer"]}), how="cross")
        .with_columns(pl.lit("responses").alias("kind"))
    )
    curves = pl.concat([alone, between], how="diagonal")
    rows = curves.join(pl.DataFrame({"layer": list(range(layers))}), how="cross")
    named = pl.concat_str("model", "benchmark", "pair", "style", "layer", "relevance")
    jitter = named.hash(seed=5) % 1000 / 1000 - 0.5
    size = pl.col("kind").replace_strict({"same_layer": 0.05, "next_layer": 0.3, "responses": 0.6})
    mean = size * (1 + 0.5 * (pl.col("layer") * 0.7).sin()) + 0.08 * jitter
    return rows.select(
        pl.lit(examples).alias(name).cast(kind)
        if name == "examples"
        else mean.alias(name)
        if name == "mean"
        else pl.lit(0.12).alias(name)
        if name == "sd"
        else pl.col(name).cast(kind)
        for name, kind in ALIGNMENT_SCHEMA.items()
    )


def examples_of(models: list[str], benchmarks: dict[str, str], items: int) -> pl.DataFrame:
    """Every example of every style and relevance: longer responses have smaller gradients."""
    grid = (
        pl.DataFrame({"model": models})
        .join(styles_of(benchmarks), how="cross")
        .join(pl.DataFrame({"relevance": ["correct", "irrelevant"]}), how="cross")
        .join(pl.DataFrame({"index": list(range(items))}), how="cross")
    )
    random = np.random.default_rng(11).standard_normal((grid.height, 4))
    noise = [pl.Series(random[:, i]) for i in range(4)]
    length = pl.col("style").replace_strict(LENGTHS, return_dtype=pl.Float64)
    size = pl.col("style").replace_strict(SIZES, return_dtype=pl.Float64)
    response = (length * (0.25 * noise[0]).exp()).ceil()
    made = grid.with_columns(
        pl.format("{}-{}", "benchmark", "index").alias("item_id"),
        response.alias("response_tokens"),
        (response + 70).alias("tokens"),
        (8 / length.sqrt() * (0.2 * noise[1]).exp()).alias("loss"),
        (size * 40 * (0.4 * noise[2]).exp()).alias("nuclear_norm"),
        (7 + noise[3]).alias("effective_rank"),
        (0.3 + 0.03 * noise[3]).alias("sigma1_ratio"),
    )
    return made.select(pl.col(name).cast(kind) for name, kind in EXAMPLE_SCORE_SCHEMA.items())


def extremes_of(examples: pl.DataFrame, places: int, text: str, values: int = 60) -> pl.DataFrame:
    """The ends of each model × benchmark by nuclear norm; ``text`` stands in every text."""
    ends = []
    for end, descending in (("largest", True), ("smallest", False)):
        ordered = examples.sort("nuclear_norm", descending=descending)
        ordered = ordered.group_by("model", "benchmark", maintain_order=True).head(places)
        place = pl.int_range(1, pl.len() + 1).over("model", "benchmark")
        ends.append(ordered.with_columns(place.alias("place"), pl.lit(end).alias("end")))
    rows = pl.concat(ends)
    spectra = [
        [
            {
                "projection": projection,
                "layer": layer,
                "singular_values": (norm * 0.2 * np.arange(1, values + 1) ** -1.3).tolist(),
            }
            for layer, projection in enumerate("qkvo")
        ]
        for norm in rows["nuclear_norm"]
    ]
    made = rows.with_columns(
        pl.format("Question {} of {}? {}", "index", "benchmark", pl.lit(text)).alias("instruction"),
        pl.format("Because of {}. {}", "index", pl.lit(text)).alias("response"),
        pl.Series("spectra", spectra, dtype=EXTREME_SCHEMA["spectra"]),
    )
    return made.select(pl.col(name).cast(kind) for name, kind in EXTREME_SCHEMA.items())


def details_of(
    examples: pl.DataFrame, layers: int, *, text: str, every: int = 1, most_tokens: int = 40
) -> pl.DataFrame:
    """Details of each ``every``-th example: texts, noisy curves and the losses of its tokens.

    Curves have the size of the style's curves, a fortieth of the examples' norms. Examples of the
    style "simplified" have no losses, as rows of earlier versions have none.
    """
    rows = examples.gather_every(every)
    random = np.random.default_rng(8)
    places = pl.DataFrame({"projection": list("koqv")}).join(
        pl.DataFrame({"layer": list(range(layers))}), how="cross"
    )
    points = rows.with_row_index("row").join(places, how="cross")
    noise = pl.Series(np.exp(0.2 * random.standard_normal(points.height)))
    point = pl.struct("projection", pl.col("layer").cast(pl.Int64), *SCORES)
    varied = points.with_columns(pl.col("nuclear_norm") / 40).with_columns(pl.col(SCORES) * noise)
    curves = varied.group_by("row", maintain_order=True).agg(point.alias("curves"))
    losses = [
        None
        if style == "simplified"
        else random.exponential(loss, min(int(tokens), most_tokens)).tolist()
        for style, loss, tokens in rows.select("style", "loss", "response_tokens").rows()
    ]
    made = rows.with_columns(
        pl.format("Question {} of {}? {}", "index", "benchmark", pl.lit(text)).alias("instruction"),
        pl.format("Because of {}, {}. {}", "index", "style", pl.lit(text)).alias("response"),
        curves["curves"],
        pl.Series("token_losses", losses, dtype=DETAIL_SCHEMA["token_losses"]),
    )
    return made.select(pl.col(name).cast(kind) for name, kind in DETAIL_SCHEMA.items())
