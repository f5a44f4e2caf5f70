"""Made-up statistics of which the truth is known: true curves, spread of items, noise."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl
import pytest

from gradpipe.claims.values import CellValues

Curve = tuple[str, str]
PROJECTIONS = ("q", "v")


def make_cell(
    seed: int | Sequence[int],
    items: int,
    curves: Mapping[Curve, Sequence[float]],
    noise: Mapping[Curve, float] | float = 0.3,
    spread: Mapping[Curve, float] | float = 0.3,
    shared: float = 0.4,
    model: str = "m",
    benchmark: str = "b",
    projections: Sequence[str] = PROJECTIONS,
) -> CellValues:
    """Values whose expectation are the true ``curves``, the same for each projection.

    An item scales all its curves (log-normal, ``shared``), an example its own curve at all layers
    and projections (``spread``, which may differ by curve); on top comes normal ``noise`` of each
    layer.
    """
    draw = np.random.default_rng(seed)
    of = tuple(sorted(curves))
    true = np.array([curves[curve] for curve in of])
    count, depth = true.shape
    item = draw.lognormal(-(shared**2) / 2, shared, (items, 1, 1, 1))
    spreads = np.array([spread[curve] if isinstance(spread, Mapping) else spread for curve in of])
    example = np.exp(
        spreads[:, None, None] * draw.normal(size=(items, count, 1, 1))
        - spreads[:, None, None] ** 2 / 2
    )
    sizes = np.array([noise[curve] if isinstance(noise, Mapping) else noise for curve in of])
    shape = (items, count, len(projections), depth)
    noises = draw.normal(size=shape) * sizes[None, :, None, None]
    return CellValues(
        model=model,
        benchmark=benchmark,
        family="math",
        items=tuple(f"item{place:04}" for place in range(items)),
        curves=of,
        projections=tuple(projections),
        layers=tuple(range(depth)),
        values=true[None, :, None, :] * item * example + noises,
    )


def make_table(cell: CellValues, statistic: str = "nuclear_norm") -> pl.DataFrame:
    """The statistics table of a cell, without rows for values that are NaN."""
    item, curve, projection, layer = np.nonzero(np.isfinite(cell.values))
    styles, relevances = (np.array([of[part] for of in cell.curves]) for part in (0, 1))
    return pl.DataFrame(
        {
            "item_id": np.array(cell.items)[item],
            "style": styles[curve],
            "relevance": relevances[curve],
            "layer": np.array(cell.layers)[layer],
            "projection": np.array(cell.projections)[projection],
            statistic: cell.values[item, curve, projection, layer],
        }
    ).with_columns(
        pl.lit(getattr(cell, name)).alias(name) for name in ("model", "benchmark", "family")
    )


@pytest.fixture(scope="session")
def cell() -> Callable[..., CellValues]:
    """``make_cell``."""
    return make_cell


@pytest.fixture(scope="session")
def table_of() -> Callable[..., pl.DataFrame]:
    """``make_table``."""
    return make_table
