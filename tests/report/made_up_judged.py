"""Made-up claims, verdicts, and comparisons of styles with length held still."""

import polars as pl

from gradpipe.claims.schemas import (
    CLAIM_SCHEMA,
    LENGTH_CONTROL_SCHEMA,
    LENGTH_SCHEMA,
    VERDICT_SCHEMA,
)
from tests.report.made_up import LENGTHS, styles_of

PROJECTIONS = ["q", "k", "v", "o"]
PAPER = "Li, Li and Zhou (2025)"
#: Claim, group, title, statement, source, test, and the effect made up for it.
CLAIMS = [
    (
        "none_over_simplified",
        "thought",
        "Are the curves smoother the more a response thinks?",
        "MAD of the nuclear norm's curve is larger for none than for simplified",
        PAPER,
        "mad_ratio",
        3.7,
    ),
    (
        "simplified_over_detailed",
        "thought",
        "Are the curves smoother the more a response thinks?",
        "MAD of the nuclear norm's curve is larger for simplified than for detailed",
        PAPER,
        "mad_ratio",
        2.4,
    ),
    (
        "fast_early",
        "early",
        "Does fast thinking give larger gradients in the earlier layers?",
        "none's mean exceeds detailed's more in the early layers than in the last",
        PAPER,
        "early_ratio",
        1.1,
    ),
    (
        "irrelevant_detailed",
        "relevance",
        "Do irrelevant responses stand out when the response thinks in detail?",
        "irrelevant detailed responses have larger gradients than correct ones",
        PAPER,
        "relevance_ratio",
        1.4,
    ),
    (
        "irrelevant_none",
        "relevance",
        "Do irrelevant responses stand out when the response thinks in detail?",
        "irrelevant and correct responses nearly coincide without chain of thought",
        PAPER,
        "relevance_same",
        1.03,
    ),
    (
        "tuned_tells",
        "tuned",
        "Do instruction-tuned models distinguish irrelevant responses better than their bases?",
        "the tuned model's RD is not larger than its base's",
        PAPER,
        "twins_ratio",
        0.8,
    ),
    (
        "knowledge_length",
        "knowledge",
        "Are the curves smoother for longer answers where only knowledge is asked for?",
        "MAD does not fall from 100 to 1000 tokens",
        PAPER,
        "mad_ratio",
        0.85,
    ),
    (
        "own_1",
        "own_1",
        "none > simplified on effective_rank",
        "none > simplified on effective_rank",
        "the study",
        "mean_ratio",
        0.6,
    ),
]
#: The groups of the claims that compare two styles.
STYLED = ("thought", "early", "knowledge", "own_1")
COMPARED = [("none", "simplified"), ("none", "detailed"), ("simplified", "detailed")]
CONTROLS = {
    "none": ("as measured", 1.0),
    "summed_loss": ("norms of the summed loss", 0.55),
    "matched": ("none, padded against simplified", 0.8),
    "regression": ("a regression on log tokens", 0.7),
}


#: The test and margin of claims that are not about a larger ratio.
_TESTS = {"relevance_same": ("within", 1.1)}


def claims_of() -> pl.DataFrame:
    """Claims of the paper and one of the study's own."""
    rows = [
        (*claim[:5], *_TESTS.get(claim[5], ("greater", 1.0)), claim[5].split("_")[0], None, None)
        for claim in CLAIMS
    ]
    return pl.DataFrame(rows, schema=CLAIM_SCHEMA, orient="row")


def verdicts_of(
    models: list[str], benchmarks: dict[str, str], twins: pl.DataFrame, items: int
) -> pl.DataFrame:
    """A verdict a cell that a claim is about, and one over all: mostly supported, not always."""
    cells = pl.DataFrame({"model": models}).join(
        pl.DataFrame({"benchmark": list(benchmarks), "family": list(benchmarks.values())}),
        how="cross",
    )
    cells = cells.join(pl.DataFrame({"projection": PROJECTIONS}), how="cross")
    cells = cells.join(twins, left_on="model", right_on="tuned", how="left")
    planted = pl.DataFrame(
        [(claim[0], claim[1], claim[-1]) for claim in CLAIMS],
        schema=["claim", "group", "planted"],
        orient="row",
    )
    cells = planted.join(cells, how="cross").filter(
        (pl.col("group") == "knowledge") == (pl.col("family") == "knowledge"),
        (pl.col("group") != "tuned") | pl.col("base").is_not_null(),
    )
    jitter = pl.concat_str("claim", "model", "benchmark", "projection").hash(seed=3) % 1000 / 1000
    log = pl.col("planted").log() * (0.6 + 0.8 * pl.col("jitter")) + (pl.col("jitter") - 0.5) * 0.2
    cells = cells.with_columns(jitter.alias("jitter")).with_columns(
        log.exp().alias("effect"),
        (log - 0.25).exp().alias("low"),
        (log + 0.25).exp().alias("high"),
    )
    verdict = (
        pl.when(pl.col("low") > 1)
        .then(pl.lit("supported"))
        .when(pl.col("high") < 1)
        .then(pl.lit("contradicted"))
        .otherwise(pl.lit("undecided"))
    )
    judged = cells.select(
        "claim",
        pl.lit("cell").alias("level"),
        "model",
        pl.when(pl.col("group") == "tuned").then("base").alias("against_model"),
        "benchmark",
        "projection",
        verdict.alias("verdict"),
        pl.lit("the interval lies where the verdict says").alias("reason"),
        pl.lit(None, dtype=pl.String).alias("agreement"),
        "effect",
        "low",
        "high",
        (0.001 + pl.col("jitter") / 20).alias("p"),
        (0.004 + pl.col("jitter") / 10).alias("p_adjusted"),
        pl.lit(items, dtype=pl.Int64).alias("items"),
        pl.lit("item").alias("pairing"),
        pl.lit(None, dtype=pl.String).alias("survives_length"),
        *(
            pl.lit(None, kind).alias(name)
            for name, kind in VERDICT_SCHEMA.items()
            if name in ("p_study", "verdict_study", "independent_cells")
        ),
    )
    overall = judged.group_by("claim", maintain_order=True).agg(
        pl.lit("overall").alias("level"),
        *(
            pl.lit(None, dtype=pl.String).alias(name)
            for name in ("model", "against_model", "benchmark", "projection")
        ),
        pl.col("verdict").mode().sort().first(),
        pl.lit("the interval lies where the verdict says").alias("reason"),
        pl.format("{} cells agree", pl.len()).alias("agreement"),
        pl.col("effect", "low", "high", "p", "p_adjusted").median(),
        pl.col("items").sum(),
        pl.lit("item").alias("pairing"),
        pl.when(pl.col("claim").first().is_in([claim[0] for claim in CLAIMS if claim[1] in STYLED]))
        .then(pl.lit("cannot be told"))
        .alias("survives_length"),
        pl.col("p").median().alias("p_study"),
        pl.col("verdict").mode().sort().first().alias("verdict_study"),
        pl.len().cast(pl.Float64).alias("independent_cells"),
    )
    return pl.concat([judged, overall]).select(
        pl.col(name).cast(kind) for name, kind in VERDICT_SCHEMA.items()
    )


def length_control_of(verdicts: pl.DataFrame) -> pl.DataFrame:
    """Each claim on styles as measured, at matched length, by regression and on the summed loss."""
    rows = [
        (
            *(row["claim"], control),
            *(None if effect is None else row[end] * effect for end in ("effect", "low", "high")),
            *(row["items"], 0 if effect is None else 8, outcome, share, how),
        )
        for row in verdicts.filter(pl.col("survives_length").is_not_null()).to_dicts()
        for control, effect, outcome, share, how in (
            ("measured", 1.0, "agrees", None, "as measured"),
            ("matched", 0.5, "agrees", 0.05, "the answer is 2 to 7 % of the loss tokens"),
            ("regression", None, None, None, "lengths do not overlap: detailed is longer"),
            ("summed_loss", 0.02, "reversed", None, "the gradient of the summed loss"),
        )
    ]
    return pl.DataFrame(rows, schema=LENGTH_CONTROL_SCHEMA, orient="row")


def length_of(models: list[str], benchmarks: dict[str, str], items: int) -> pl.DataFrame:
    """Every comparison of styles, raw and controlled: what is left shrinks with each control."""
    shown = set(styles_of(benchmarks).select("benchmark", "style").rows())
    rows = [
        (
            *(model, name, family, projection, style, against, quantity, control, how),
            *_ratio(style, against, quantity, projection, strength),
            items,
            0.05 if control == "matched" and style == "none" else None,
        )
        for model in models
        for name, family in benchmarks.items()
        for style, against in COMPARED
        if {(name, style), (name, against)} <= shown
        for projection in PROJECTIONS
        for quantity in ("mean", "mad")
        for control, (how, strength) in CONTROLS.items()
    ]
    return pl.DataFrame(rows, schema=LENGTH_SCHEMA, orient="row")


def _ratio(
    style: str, against: str, quantity: str, projection: str, strength: float
) -> tuple[float, float, float]:
    power = strength * (0.5 if quantity == "mean" else 0.6) + PROJECTIONS.index(projection) * 0.03
    effect = (LENGTHS[against] / LENGTHS[style]) ** power
    return effect, effect * 0.8, effect * 1.25
