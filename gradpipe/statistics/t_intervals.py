"""Intervals of estimates with standard errors, by Student's t."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray


def t_quantiles(degrees: ArrayLike, level: float = 0.95) -> NDArray[np.float64]:
    """The half-width of a two-sided interval in standard errors; NaN without degrees of freedom."""
    from scipy.special import stdtrit

    freedom = np.asarray(degrees, dtype=np.float64)
    known = np.where(freedom > 0, freedom, np.nan)
    return np.asarray(stdtrit(known, (1 + level) / 2), dtype=np.float64)


def with_intervals(frame: pl.DataFrame, names: Sequence[str], degrees: pl.Expr) -> pl.DataFrame:
    """Replace each ``name``_error by the ends ``name``_low and ``name``_high of a 95 % interval."""
    reach = pl.Series("reach", t_quantiles(frame.select(degrees.cast(pl.Float64)).to_series()))
    ends = [
        end.alias(f"{name}_{which}")
        for name in names
        for which, end in (
            ("low", pl.col(name) - reach * pl.col(f"{name}_error")),
            ("high", pl.col(name) + reach * pl.col(f"{name}_error")),
        )
    ]
    return frame.with_columns(ends).drop(f"{name}_error" for name in names)
