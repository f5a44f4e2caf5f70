"""Made-up results of the paper's whole grid: ten models of their real depths, on its data sets."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from gradpipe.report.report_data import (
    REPORT_ADDED_SCHEMA,
    REPORT_DISCRIMINATION_SCHEMA,
    ReportInputs,
)
from gradpipe.statistics.decomposition import DECOMPOSITION_SCHEMA, STYLE_PAIRS
from gradpipe.statistics.detection.discrimination import BASELINES
from gradpipe.statistics.reductions import DEFAULT_STATISTICS
from tests.report.made_up import (
    curves_of,
    mad_of,
    provenance_of,
    rd_of,
    rows_of,
    unusable_of,
)
from tests.report.made_up_examples import (
    alignment_of,
    details_of,
    examples_of,
    extremes_of,
    twins_of,
)
from tests.report.made_up_judged import claims_of, length_control_of, length_of, verdicts_of
from tests.report.made_up_responses import origins_of, responses_of
from tests.report.made_up_sets import sets_of

#: Models of the paper, base and tuned, and their layers.
LAYERS = {
    "gemma-2-2b": 26,
    "gemma-2-2b-it": 26,
    "gemma-2-9b": 42,
    "gemma-2-9b-it": 42,
    "Llama-3.1-8B": 32,
    "Llama-3.1-8B-Instruct": 32,
    "Qwen2-1.5B": 28,
    "Qwen2-1.5B-Instruct": 28,
    "Llama-2-7b-hf": 32,
    "Llama-2-7b-chat-hf": 32,
}
#: Thirteen entries; more styles than the paper has on three of them.
BENCHMARKS = {
    "aqua": "math",
    "gsm8k": "math",
    "math_algebra": "math",
    "math_counting_probability": "math",
    "math_geometry": "math",
    "creak": "commonsense",
    "ecqa": "commonsense",
    "sensemaking": "commonsense",
    "strategyqa": "commonsense",
    "wiki_popular": "knowledge",
    "wiki_unpopular": "knowledge",
    "wiki_popular_persons": "knowledge",
    "wiki_popular_places": "knowledge",
}
ITEMS = 500


def paper_grid(
    depths: Mapping[str, int] = LAYERS,
    benchmarks: dict[str, str] = BENCHMARKS,
    statistics: tuple[str, ...] = DEFAULT_STATISTICS,
) -> ReportInputs:
    """Every default statistic of ten models on thirteen benchmarks, as noisy as real results.

    Each layer of each curve is off by a fifth on its own, and its error by a tenth, so that
    nothing is smaller than it would be for real. ``depths`` has the models and their layers.
    """
    names = list(depths)
    of_models = [
        noisy(curves_of([model], benchmarks, layers, ITEMS, statistics), seed)
        for seed, (model, layers) in enumerate(depths.items())
    ]
    curves = pl.concat(of_models)
    alignment = pl.concat(
        noisy(alignment_of([model], benchmarks, layers, ITEMS), seed)
        for seed, (model, layers) in enumerate(depths.items())
    )
    twins, single = twins_of(names), examples_of(names, benchmarks, ITEMS)
    extremes = extremes_of(single, places=5, text="", values=900)
    sets = sets_of(names, benchmarks, ITEMS)
    return ReportInputs(
        curves=curves,
        mad=pl.concat(map(mad_of, of_models)),
        rd=rd_of(curves),
        rows=rows_of(curves),
        unusable=unusable_of(curves, "the response was truncated away"),
        provenance=provenance_of(names, benchmarks),
        claims=claims_of(),
        verdicts=(verdicts := verdicts_of(names, benchmarks, twins, ITEMS)),
        length_control=length_control_of(verdicts),
        length=length_of(names, benchmarks, ITEMS),
        alignment=alignment,
        examples=single,
        extremes=texts_of_their_own(extremes),
        details=texts_of_their_own(
            pl.concat(
                details_of(single.filter(model=model), layers, text="", every=180, most_tokens=1000)
                for model, layers in depths.items()
            )
        ),
        origins=origins_of(extremes, responses_of(benchmarks, ITEMS, "")),
        twins=twins,
        discrimination=discrimination_of(curves),
        decomposition=decomposition_of(curves),
        added=added_of(curves),
        set_diversity=sets.diversity,
        set_consensus=sets.consensus,
        set_cosines=sets.cosines,
    )


def noisy(curves: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Curves with noise on each mean, and on each deviation's share of it."""
    random = np.random.default_rng(seed).standard_normal((curves.height, 2))
    mean, sd = np.exp(0.2 * random[:, 0]), np.exp(0.1 * random[:, 1])
    return curves.with_columns(
        pl.col("mean") * pl.Series(mean), pl.col("sd") * pl.Series(mean * sd)
    )


def discrimination_of(curves: pl.DataFrame) -> pl.DataFrame:
    """Random AUROCs of every layer of the curves, of their means, and of the baselines.

    Curves of AUROCs vary around 0.6 by 0.1, and their layers by 0.03: real ones, of the same
    responses, vary less.
    """
    labels = ["model", "benchmark", "family", "style"]
    of_layers = curves.filter(relevance="correct").select(
        *labels, "statistic", "projection", "layer"
    )
    means = of_layers.drop("layer").unique(maintain_order=True)
    compared = pl.concat([of_layers, means], how="diagonal")
    free = compared.select(labels).unique(maintain_order=True)
    parts = [compared, *(free.with_columns(statistic=pl.lit(name)) for name in BASELINES)]
    rows = pl.concat(parts, how="diagonal")
    random = np.random.default_rng(4)
    curve = rows.select(pl.struct(*labels, "statistic", "projection").rank("dense") - 1)
    center = random.normal(0.6, 0.1, rows.height)[curve.to_series().to_numpy()]
    auroc = np.clip(center[:, None] + random.normal(0, 0.03, (rows.height, 3)), 0, 1)
    ends = pl.DataFrame(np.sort(auroc), schema=["auroc_low", "auroc", "auroc_high"])
    rates = [pl.col(name).alias(name.replace("auroc", "win_rate")) for name in ends.columns]
    counts = ("first_responses", "second_responses", "items")
    return (
        pl.concat([rows, ends], how="horizontal")
        .with_columns(
            *rates,
            *(pl.lit(ITEMS).alias(name) for name in counts),
            first=pl.lit("irrelevant"),
            second=pl.lit("correct"),
        )
        .select(pl.col(name).cast(kind) for name, kind in REPORT_DISCRIMINATION_SCHEMA.items())
    )


def decomposition_of(curves: pl.DataFrame) -> pl.DataFrame:
    """Random ratios of every two styles, as means over layers."""
    cell = ["model", "benchmark", "family", "projection"]
    of_styles = curves.group_by(*cell, maintain_order=True).agg(pl.col("style").unique())
    pairs = pl.DataFrame(STYLE_PAIRS, schema=["style", "against"], orient="row")
    there = (pl.col("styles").list.contains(pl.col(name)) for name in ("style", "against"))
    rows = of_styles.rename({"style": "styles"}).join(pairs, how="cross").filter(*there)
    numbers = [name for name, kind in DECOMPOSITION_SCHEMA.items() if kind == pl.Float64]
    ratios = np.random.default_rng(6).lognormal(size=(rows.height, len(numbers)))
    return (
        pl.concat([rows, pl.DataFrame(ratios, schema=numbers)], how="horizontal")
        .with_columns(layer=None, items=pl.lit(ITEMS))
        .select(pl.col(name).cast(kind) for name, kind in DECOMPOSITION_SCHEMA.items())
    )


def added_of(curves: pl.DataFrame) -> pl.DataFrame:
    """Random gains of the gradient, for every comparison of irrelevant and correct responses."""
    rows = curves.select("model", "benchmark", "family", "style").unique(maintain_order=True)
    numbers = [name for name, kind in REPORT_ADDED_SCHEMA.items() if kind == pl.Float64]
    random = np.random.default_rng(6).random((rows.height, len(numbers)))
    return rows.with_columns(
        *(pl.Series(name, values) for name, values in zip(numbers, random.T, strict=True)),
        first=pl.lit("irrelevant"),
        second=pl.lit("correct"),
        features=36,
        items=ITEMS,
        reason=None,
    ).select(pl.col(name).cast(kind) for name, kind in REPORT_ADDED_SCHEMA.items())


def texts_of_their_own(extremes: pl.DataFrame) -> pl.DataFrame:
    """Extreme examples with texts of a length and variety that real ones have."""
    random = np.random.default_rng(3)
    words = np.array(["".join(random.choice(list("etaoinshrdlu"), 5)) for _ in range(4000)])
    made = {
        item: [" ".join(random.choice(words, count)) for count in (60, 150)]
        for item in extremes["item_id"].unique(maintain_order=True)
    }
    texts = [made[item] for item in extremes["item_id"]]
    return extremes.with_columns(
        pl.Series("instruction", [text[0] for text in texts]),
        pl.Series("response", [text[1] for text in texts]),
    )
