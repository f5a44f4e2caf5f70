"""Made-up tables of data of low and high quality, of which the truth is known."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

LAYERS = 4
PROJECTIONS = ("q", "v")


def quality_table(
    logs: Mapping[str, np.ndarray],
    tokens: Mapping[str, np.ndarray],
    *,
    statistics: Sequence[str] = ("nuclear_norm",),
    model: str = "m",
    benchmark: str = "b",
    family: str = "instruction",
    curve: Sequence[float] = (0.0, 0.3, -0.2, 0.1),
) -> pl.DataFrame:
    """A statistics table: for each style, the log size [item] or [item, statistic] of each item.

    Every layer has the item's size times exp(``curve``), the same at all projections.
    """
    parts = []
    for style, sizes in logs.items():
        count = len(sizes)
        item, projection, layer = (
            place.ravel()
            for place in np.meshgrid(
                np.arange(count), np.arange(len(PROJECTIONS)), np.arange(len(curve)), indexing="ij"
            )
        )
        columns = sizes.reshape(count, -1)
        values = {
            name: np.exp(columns[item, min(place, columns.shape[1] - 1)] + np.array(curve)[layer])
            for place, name in enumerate(statistics)
        }
        parts.append(
            pl.DataFrame(
                {
                    "item_id": [f"{style}{number:04}" for number in item],
                    "index": item,
                    "style": style,
                    "relevance": "correct",
                    "loss": columns[item, 0],
                    "tokens": tokens[style][item] + 10,
                    "response_tokens": tokens[style][item],
                    "layer": layer,
                    "projection": [PROJECTIONS[place] for place in projection],
                    **values,
                }
            )
        )
    labels = {"model": model, "benchmark": benchmark, "family": family}
    return pl.concat(parts).with_columns(
        pl.lit(value).alias(name) for name, value in labels.items()
    )


def sizes_and_lengths(
    seed: int,
    *,
    effect: float = 0.0,
    slope: float = 0.0,
    low: tuple[float, float] = (5.0, 0.5),
    high: tuple[float, float] = (5.0, 0.5),
    items: tuple[int, int] = (40, 40),
    noise: float = 0.2,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Log sizes ``effect`` · is_high + ``slope`` · log tokens + noise, and the tokens.

    ``low`` and ``high`` are the mean and the deviation of each side's log tokens.
    """
    draw = np.random.default_rng(seed)
    logs, tokens = {}, {}
    sides = (("quality_low", low, items[0], 0.0), ("quality_high", high, items[1], effect))
    for style, (mean, deviation), count, own in sides:
        tokens[style] = np.exp(draw.normal(mean, deviation, count)).round().clip(1).astype(int)
        logs[style] = own + slope * np.log(tokens[style]) + draw.normal(0, noise, count)
    return logs, tokens
