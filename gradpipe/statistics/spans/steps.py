"""Steps along a chain: how a statistic of a step's gradient changes with the step's position.

The log of a statistic is regressed on the position (0 for the first step of a response, 1 for its
last), within responses: each response has an intercept of its own. Steps also differ in length, so
a second regression has the log of the number of tokens beside the position. The errors are
clustered by item (Liang and Zeger 1986), with Student's t; degrees of freedom are items less one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from gradpipe.benchmarks.samples import base_item
from gradpipe.statistics.spans.contrasts import item_values
from gradpipe.statistics.spans.curves import SPAN_LABELS
from gradpipe.statistics.t_intervals import t_quantiles

#: A response with fewer steps has no trend.
LEAST_STEPS = 3
#: The regressors beside the position.
STEP_CONTROLS = ("none", "length")
_FIFTHS = 5
_FIFTH_NAMES = tuple(f"fifth_{number}" for number in range(1, _FIFTHS + 1))
#: One row per kind of response, projection, statistic and control. ``ratio`` is the last step over
#: the first, with its 95 % interval; ``fifth_1`` to ``fifth_5`` are the curve over the position:
#: geometric means of the statistic over its geometric mean in the same response.
STEP_TREND_SCHEMA = pl.Schema(
    {
        **dict.fromkeys(SPAN_LABELS, pl.String()),
        "projection": pl.String(),
        "statistic": pl.String(),
        "control": pl.String(),
        "ratio": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "items": pl.Int64(),
        "steps": pl.Float64(),
        **dict.fromkeys(_FIFTH_NAMES, pl.Float64()),
    }
)


def step_trends(matrices: pl.DataFrame) -> pl.DataFrame:
    """Return the trends of statistics along the steps of responses (STEP_TREND_SCHEMA).

    ``matrices`` are those of ``span_matrices`` with ``own_loss``. Responses with fewer than
    LEAST_STEPS steps are left out; there are no rows without others.
    """
    steps = _steps(item_values(matrices))
    keys = [*SPAN_LABELS, "projection", "statistic"]
    rows = [
        {**dict(zip(keys, names, strict=True)), **trend}
        for names, group in steps.group_by(keys, maintain_order=True)
        for trend in _trends(group)
    ]
    return pl.DataFrame(rows, schema=STEP_TREND_SCHEMA).sort(*keys, "control", nulls_last=True)


def _steps(values: pl.DataFrame) -> pl.DataFrame:
    """The steps with their positions and, less the response's own means, logs of values."""
    response = [*SPAN_LABELS, "item_id", "projection", "statistic"]
    number = pl.col("span").str.extract(r"^step_(\d+)$", 1).cast(pl.Int64)
    position = (pl.col("number") - pl.col("number").min()) / (
        pl.col("number").max() - pl.col("number").min()
    )
    return (
        values.with_columns(number=number, y=pl.col("value").log(), length=pl.col("tokens").log())
        .filter(pl.col("number").is_not_null(), pl.col("y").is_finite())
        .filter(pl.len().over(response) >= LEAST_STEPS)
        .with_columns(position=position.over(response))
        .with_columns(
            (pl.col(name) - pl.col(name).mean().over(response)).alias(f"{name}_within")
            for name in ("y", "position", "length")
        )
        .sort(response)
        .with_columns(base_item(), response="item_id")
    )


def _trends(group: pl.DataFrame) -> list[dict[str, Any]]:
    """The trends of one kind of response, without and with the control for length."""
    fifth = (pl.col("position") * _FIFTHS).floor().clip(upper_bound=_FIFTHS - 1)
    curve = group.group_by(fifth.cast(pl.Int64).alias("fifth")).agg(pl.col("y_within").mean().exp())
    means = dict(curve.iter_rows())
    shared = {
        "items": group["item_id"].n_unique(),
        "steps": group.height / group["response"].n_unique(),
        **{name: means.get(number) for number, name in enumerate(_FIFTH_NAMES)},
    }
    regressors = {"none": ["position_within"], "length": ["position_within", "length_within"]}
    trends = []
    for control in STEP_CONTROLS:
        slope, low, high = _slope(group, regressors[control])
        ends = {"ratio": slope, "low": low, "high": high}
        trends.append({"control": control, **ends, **shared})
    return trends


def _slope(group: pl.DataFrame, names: list[str]) -> tuple[float | None, ...]:
    """exp of the first coefficient and its interval; null if it cannot be estimated."""
    x, y = group.select(names).to_numpy(), group["y_within"].to_numpy()
    if np.linalg.matrix_rank(x) < len(names):
        return None, None, None
    inverse = np.linalg.inv(x.T @ x)
    slope = inverse @ x.T @ y
    scores = x * (y - x @ slope)[:, None]
    items = group["item_id"].rank("dense").to_numpy().astype(np.int64) - 1
    clusters = int(items.max()) + 1
    sums = np.zeros((clusters, len(names)))
    np.add.at(sums, items, scores)
    ratio = float(np.exp(slope[0]))
    if clusters < 2:
        return ratio, None, None
    variance = inverse @ (sums.T @ sums) @ inverse * clusters / (clusters - 1)
    reach = float(t_quantiles(clusters - 1)) * float(np.sqrt(variance[0, 0]))
    return ratio, float(np.exp(slope[0] - reach)), float(np.exp(slope[0] + reach))
