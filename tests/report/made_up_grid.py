"""Made-up results of the paper's whole grid: ten models of their real depths, on its data sets."""

import numpy as np
import polars as pl

from gradpipe.report.report_data import REPORT_DISCRIMINATION_SCHEMA, ReportInputs
from gradpipe.report.style import STATISTIC_LABELS
from gradpipe.statistics.discrimination import BASELINES
from tests.report.made_up import (
    curves_of,
    mad_of,
    provenance_of,
    rd_of,
    rows_of,
    unusable_of,
)
from tests.report.made_up_examples import alignment_of, examples_of, extremes_of, twins_of
from tests.report.made_up_judged import claims_of, length_control_of, length_of, verdicts_of

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


def paper_grid() -> ReportInputs:
    """Every statistic of ten models on thirteen benchmarks, with as much noise as real results.

    Each layer of each curve is off by a fifth on its own, and its error by a tenth, so that
    nothing is smaller than it would be for real.
    """
    names, statistics = list(LAYERS), tuple(STATISTIC_LABELS)
    of_models = [
        noisy(curves_of([model], BENCHMARKS, layers, ITEMS, statistics), seed)
        for seed, (model, layers) in enumerate(LAYERS.items())
    ]
    curves = pl.concat(of_models)
    alignment = pl.concat(
        noisy(alignment_of([model], BENCHMARKS, layers, ITEMS), seed)
        for seed, (model, layers) in enumerate(LAYERS.items())
    )
    twins, single = twins_of(names), examples_of(names, BENCHMARKS, ITEMS)
    return ReportInputs(
        curves=curves,
        mad=pl.concat(map(mad_of, of_models)),
        rd=rd_of(curves),
        rows=rows_of(curves),
        unusable=unusable_of(curves, "the response was truncated away"),
        provenance=provenance_of(names, BENCHMARKS),
        claims=claims_of(),
        verdicts=(verdicts := verdicts_of(names, BENCHMARKS, twins, ITEMS)),
        length_control=length_control_of(verdicts),
        length=length_of(names, BENCHMARKS, ITEMS),
        alignment=alignment,
        examples=single,
        extremes=texts_of_their_own(extremes_of(single, places=5, text="", values=900)),
        twins=twins,
        discrimination=discrimination_of(curves),
    )


def noisy(curves: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Curves with noise on each mean, and on each deviation's share of it."""
    random = np.random.default_rng(seed).standard_normal((curves.height, 2))
    mean, sd = np.exp(0.2 * random[:, 0]), np.exp(0.1 * random[:, 1])
    return curves.with_columns(
        pl.col("mean") * pl.Series(mean), pl.col("sd") * pl.Series(mean * sd)
    )


def discrimination_of(curves: pl.DataFrame) -> pl.DataFrame:
    """Random AUROCs of the means over layers of every curve, and of the baselines."""
    labels = ["model", "benchmark", "family", "style"]
    compared = curves.select(*labels, "statistic", "projection").unique(maintain_order=True)
    free = compared.select(labels).unique(maintain_order=True)
    parts = [compared, *(free.with_columns(statistic=pl.lit(name)) for name in BASELINES)]
    rows = pl.concat(parts, how="diagonal")
    auroc = np.random.default_rng(4).random((rows.height, 3))
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
            layer=None,
        )
        .select(pl.col(name).cast(kind) for name, kind in REPORT_DISCRIMINATION_SCHEMA.items())
    )


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
