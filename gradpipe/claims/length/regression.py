"""A regression within items, read at equal lengths and never outside the lengths observed.

Two responses of an item differ in a quantity y by a log ratio, and in length by a log ratio x. The
line through the items' (x, y) is the regression log y = item + β · style + λ · log tokens, and its
height at x = 0 is β: the ratio of the styles at equal length. If one style is longer in every item,
x = 0 lies outside the data. The height would be an extrapolation, and is not computed.

The same line over the log ratio of two losses compares styles at equal loss.
"""

import numpy as np
from numpy.typing import NDArray

from gradpipe.claims.inference.bootstrap import MIN_ITEMS
from gradpipe.claims.values import Array

#: The lengths of two styles overlap if at least this many items have the first style's response at
#: least as long as the second's, and this many at most as long. All resamples of the items are then
#: on both sides with a probability of at least 0.96; the others are excluded.
LEAST_ITEMS_PER_SIDE = 4


def fit_line(x: Array, y: Array, counts: Array) -> tuple[Array, Array]:
    """Height at x = 0 and slope of the least-squares line through (x [item], y [item, k]).

    Items are weighted by how often they are drawn, ``counts`` [resample, item]; those whose x or y
    is not finite are excluded. Both results are [resample, k]. The height is NaN unless 0 is within
    the range of the drawn x. The slope is NaN if all drawn x are equal; the height is then the mean
    of y if they are 0.
    """
    used = np.isfinite(y) & np.isfinite(x)[:, None]
    distance = np.where(used, x[:, None], 0.0)
    known = np.where(used, y, 0.0)
    # Centered, so that the sums of squares keep their digits.
    center = distance.sum(0) / np.maximum(used.sum(0), 1)
    centered = np.where(used, distance - center, 0.0)
    number = counts @ used
    within = (counts @ (used & (distance <= 0)) > 0) & (counts @ (used & (distance >= 0)) > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_x, mean_y = counts @ centered / number, counts @ known / number
        spread = counts @ centered**2 / number - mean_x**2
        covariance = counts @ (centered * known) / number - mean_x * mean_y
        slope = np.where(spread > 1e-12, covariance / spread, np.nan)
    height = mean_y - np.where(np.isnan(slope), 0.0, slope * (mean_x + center))
    return np.where(within, height, np.nan), slope


def overlaps(x: Array, y: Array) -> NDArray[np.bool_]:
    """Whether the items of each column of y [item, k] allow a comparison at x = 0: [k].

    There are at least MIN_ITEMS with finite values, and at least LEAST_ITEMS_PER_SIDE of them have
    x ≤ 0 and as many have x ≥ 0.
    """
    used = np.isfinite(y) & np.isfinite(x)[:, None]
    at_most, at_least = (
        (used & side[:, None]).sum(0) >= LEAST_ITEMS_PER_SIDE for side in (x <= 0, x >= 0)
    )
    enough: NDArray[np.bool_] = (used.sum(0) >= MIN_ITEMS) & at_most & at_least
    return enough


def overlap_text(x: Array, styles: tuple[str, str], what: str = "lengths") -> str:
    """How far lengths or losses of two styles overlap within items, from log ratios x [item]."""
    of_loss = what == "losses"
    noun, exceeds = ("loss", "has the larger loss") if of_loss else ("length", "is longer")
    items = len(x)
    if not items:
        return "no item has responses of both styles"
    longer, shorter = int((x > 0).sum()), int((x < 0).sum())
    if not longer and not shorter:
        return f"both responses of every item have the same {noun}"
    larger = styles[int(shorter > longer)]
    if max(longer, shorter) == items:
        return f"{what} do not overlap: {larger} {exceeds} in every item"
    counted = f"{styles[0]} {exceeds} in {longer} of {items} items, {styles[1]} in {shorter}"
    if items - max(longer, shorter) < LEAST_ITEMS_PER_SIDE:
        return f"{what} do not overlap: {counted}, and {LEAST_ITEMS_PER_SIDE} are required"
    return counted
