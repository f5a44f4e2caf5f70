"""What the gradient adds to the loss and the length in distinguishing two kinds of responses.

Each of three logistic models scores responses that it was not trained on: one knows the loss and
the length, which cost no gradient, one the gradient's statistics, one both. The difference of their
AUROCs is what the gradient adds. Nothing is chosen by looking at the AUROCs.
"""

from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np
import polars as pl

from gradpipe.errors import DataError, StudyError
from gradpipe.statistics.detection.discrimination import (
    BASELINES,
    labels_without,
    refuse_repeated,
    two_kinds,
)
from gradpipe.statistics.detection.fold_auroc import Estimate, Floats, FoldAuroc, fold_auroc
from gradpipe.statistics.detection.grouped_folds import Ints, independent_clusters
from gradpipe.statistics.detection.logistic_scores import out_of_fold_scores
from gradpipe.statistics.differences import segments
from gradpipe.statistics.examples import SCORES
from gradpipe.statistics.reductions import REDUCTIONS, require_statistics
from gradpipe.statistics.table import StatisticsFrame
from gradpipe.system.extras import missing_package

#: With fewer items no model is fitted: a fold would hold two or fewer.
MIN_MODEL_ITEMS = 16
#: The three models, and the gain of the last over the first.
MODELS = ("baselines", "gradient", "both")
ESTIMATES = (*MODELS, "added")
#: Columns behind the labels of a row of ``added_discrimination``.
ADDED_DISCRIMINATION_SCHEMA = pl.Schema(
    {
        "first": pl.String(),
        "second": pl.String(),
        **{f"{name}{end}": pl.Float64() for name in ESTIMATES for end in ("", "_low", "_high")},
        "features": pl.Int64(),
        "items": pl.Int64(),
        "reason": pl.String(),
    }
)
#: The features that BASELINES become.
_FREE_FEATURES = ("loss", "log_tokens")
_RESPONSE = ("item_id", "is_first")


def added_discrimination(
    table: StatisticsFrame,
    statistics: Sequence[str] = SCORES,
    *,
    column: str = "relevance",
    first: str = "irrelevant",
    second: str = "correct",
    seed: int = 0,
) -> pl.DataFrame:
    """Compute what the gradient adds to loss and length in distinguishing two kinds of responses.

    Three logistic models are compared by the AUROC of their scores for responses that they were not
    trained on: of the baselines (the loss and the logarithm of the response tokens), of the
    gradient, and of both. The gradient's features are, for each statistic and projection, the
    logarithms of the means over the early, middle and last layers. Perplexity is exp(loss), so it
    orders responses as the loss does, and adds nothing to the baselines.

    Cross-validation is nested: five folds of items are scored, and three folds of the other items
    choose the strength of the L2 penalty. No response is used for training that shares its
    instruction or its text with a response under test; an irrelevant response shares its text with
    a correct one if ``table`` has its ``donor_item_id``. Without that column only instructions are
    kept apart, which biases AUROCs towards the opposite of the truth where texts are recognized.
    The features of the gradient are divided by the square root of their number, so that together
    they are penalized as one baseline is. Otherwise a gradient that says nothing would drown out
    the loss.

    Args:
        table: As for ``gp.discrimination``, with the columns ``loss`` and ``response_tokens``, and
            optionally ``donor_item_id``: for an irrelevant response, the item whose text it is.
        statistics: Names of columns of ``table``. Those that are computed from the loss or from the
            number of tokens are refused, since they would tell the model of the gradient about
            them.
        column: As for ``gp.discrimination``.
        first: As for ``gp.discrimination``.
        second: As for ``gp.discrimination``.
        seed: The seed of the folds. The same seed gives the same result.

    Returns:
        One row per comparison: the labels except ``column``; ``first`` and ``second``; the AUROCs
        ``baselines``, ``gradient`` and ``both`` and the difference ``added`` (both − baselines),
        each with the ends of its 95 % interval (``_low``, ``_high``); ``features``, the number of
        the gradient's features; ``items``, those with both responses, of which only these are used;
        and ``reason``, which says why AUROCs are null: there are fewer than 16 items, or nearly all
        responses share a text. Responses without a finite value of some feature are left out.
        The intervals treat items that share texts as one cluster if there are 16 such sets or more,
        otherwise each item, and allow for models that share most of their training data (Nadeau and
        Bengio 2003). Sorted by labels.

    Raises:
        DataError: ``table`` is another kind of table, holds an example twice, or ``column`` is
            another column.
        StudyError: No statistic is named, ``table`` has no such statistic, or it is computed from
            the baselines.
        ModuleNotFoundError: scikit-learn is not installed.

    Examples:
        >>> texts = ["It is {}.", "Blue is a color, and {} is a number."]
        >>> pairs = [(f"Add {n} and 2.", text.format(n + 2)) for text in texts for n in range(16)]
        >>> relevance = pl.when(pl.col("example") < 16).then(pl.lit("correct"))
        >>> spectra = gp.extract_spectra(model, tokenizer, pairs).with_columns(
        ...     item=pl.col("example") % 16, relevance=relevance.otherwise(pl.lit("irrelevant"))
        ... )
        >>> row = gp.added_discrimination(spectra).row(0, named=True)
        >>> row["items"], row["features"]  # 3 statistics × 4 projections × 2 segments of 3 layers
        (16, 24)
        >>> row["baselines"]  # the lengths say it all
        1.0
    """
    _require_scikit_learn()
    compared = two_kinds(table, column, first, second)
    present = compared.collect_schema().names()
    gradient_only = [
        name for name in REDUCTIONS if name in present and not _is_made_of_baselines(name)
    ]
    require_statistics(statistics, gradient_only)
    if not statistics:
        raise StudyError("Name one or more statistics of the gradient.")
    missing = [name for name in BASELINES if name not in present]
    if missing:
        raise DataError(f"The table has no column {missing[0]!r}, which is a baseline.")
    labels = labels_without(column)
    donor = pl.col("donor_item_id") if "donor_item_id" in present else pl.lit(None)
    rows = compared.select(
        *labels,
        *_RESPONSE,
        pl.coalesce(donor.cast(pl.String), "item_id").alias("text_item"),
        *BASELINES,
        "projection",
        "layer",
        *statistics,
    ).collect()
    refuse_repeated(rows, [*labels, *_RESPONSE, "projection", "layer"])
    results = [
        {**dict(zip(labels, key, strict=True)), **_compared(cell, statistics, seed)}
        for key, cell in rows.partition_by(labels, as_dict=True).items()
        if cell["is_first"].n_unique() == 2
    ]
    schema = {name: rows.schema[name] for name in labels} | dict(ADDED_DISCRIMINATION_SCHEMA)
    found = pl.DataFrame(results, schema=schema)
    return found.with_columns(first=pl.lit(first), second=pl.lit(second)).sort(labels)


def _compared(cell: pl.DataFrame, statistics: Sequence[str], seed: int) -> dict[str, object]:
    """The columns of one comparison."""
    responses = _with_features(cell, statistics)
    names = responses.columns[len(_RESPONSE) + 1 :]
    gradient = [name for name in names if name not in _FREE_FEATURES]
    items = responses.height // 2
    row: dict[str, object] = {"features": len(gradient), "items": items}
    if items < MIN_MODEL_ITEMS:
        return row | {"reason": f"{items} items; {MIN_MODEL_ITEMS} are needed"}
    used = dict(zip(MODELS, (list(_FREE_FEATURES), gradient, names), strict=True))
    aurocs = {}
    for model, features in used.items():
        auroc = _cross_validated(responses, features, len(gradient), seed)
        if auroc is None:
            return row | {"reason": "nearly all responses share a text"}
        aurocs[model] = auroc
    estimates: dict[str, Estimate] = {name: auroc.estimate() for name, auroc in aurocs.items()}
    estimates["added"] = aurocs["both"].over(aurocs["baselines"])
    ends = ("", "_low", "_high")
    return row | {
        f"{name}{end}": value
        for name, estimate in estimates.items()
        for end, value in zip(ends, estimate, strict=True)
    }


def _with_features(cell: pl.DataFrame, statistics: Sequence[str]) -> pl.DataFrame:
    """One row per response of the items that have both: _RESPONSE, ``text_item`` and features.

    Sorted by kind and then by item, second kind first.
    """
    early, mid, _ = segments(cell.select(pl.col("layer").max()).item() + 1)
    layer = pl.col("layer")
    segment = (
        pl.when(layer < early)
        .then(pl.lit("early"))
        .when(layer < early + mid)
        .then(pl.lit("mid"))
        .otherwise(pl.lit("last"))
    )
    # The mean of layers with a value that is null or not finite is not finite either.
    means = [pl.col(name).cast(pl.Float64).fill_null(float("nan")).mean() for name in statistics]
    gradient = (
        cell.group_by(*_RESPONSE, "projection", segment.alias("segment"))
        .agg(mean.log() for mean in means)
        .unpivot(on=statistics, index=[*_RESPONSE, "projection", "segment"])
        .with_columns(pl.concat_str("variable", "projection", "segment", separator=" "))
        .sort("variable")
        .pivot("variable", index=_RESPONSE, values="value")
    )
    free = cell.unique(_RESPONSE).select(
        *_RESPONSE,
        "text_item",
        pl.col("loss").cast(pl.Float64),
        pl.col("response_tokens").log().alias("log_tokens"),
    )
    responses = free.join(gradient, on=_RESPONSE)
    usable = pl.all_horizontal(pl.exclude(*_RESPONSE, "text_item").is_finite().fill_null(False))
    return (
        responses.filter(usable).filter(pl.len().over("item_id") == 2).sort("is_first", "item_id")
    )


def _cross_validated(
    responses: pl.DataFrame, features: Sequence[str], gradient_features: int, seed: int
) -> FoldAuroc | None:
    """The AUROC of a model of some features; None if it cannot be cross-validated."""
    numbers: Floats = responses.select(features).to_numpy()
    is_first: Ints = responses["is_first"].cast(pl.Int64).to_numpy()
    items = responses.select("item_id", "text_item").to_numpy().astype(str)
    sources: Ints = np.unique(items, return_inverse=True)[1].reshape(items.shape)
    weights = np.array(
        [1.0 if name in _FREE_FEATURES else gradient_features**-0.5 for name in features]
    )
    scored = out_of_fold_scores(numbers, is_first, sources, weights, seed)
    if scored is None:
        return None
    scores, folds = scored
    half = len(scores) // 2
    clusters = independent_clusters(sources, sources[half:, 0])
    return fold_auroc(scores[half:], scores[:half], folds[half:], clusters)


def _is_made_of_baselines(statistic: str) -> bool:
    """Whether a statistic is computed from the loss or the number of tokens too."""
    return not set(BASELINES).isdisjoint(REDUCTIONS[statistic].meta.root_names())


def _require_scikit_learn() -> None:
    """Raise ModuleNotFoundError, with the command that installs it, without scikit-learn."""
    if find_spec("sklearn") is None:
        raise ModuleNotFoundError(
            missing_package("sklearn", "gradpipe.added_discrimination"), name="sklearn"
        )
