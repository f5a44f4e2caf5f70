"""Length, said out loud: each comparison of two styles beside the same with length held still.

The loss is a mean over response tokens, which ties a gradient's size to how long the response is.
So what a style does is told apart from what its length does in three ways: by the gradient of the
summed loss, by other styles of the same length, and by a regression on the number of tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
import polars as pl

from gradpipe.claims.bootstrap import FEWEST_ITEMS, bootstrap, mean, seed_of
from gradpipe.claims.ratios import QUANTITIES, Ratio, mean_and_mad, ratio_of
from gradpipe.claims.schemas import LENGTH_SCHEMA
from gradpipe.claims.values import Array, CellValues, cell_values
from gradpipe.styles import KNOWLEDGE_STYLES, REASONING_STYLES

#: What stands for a style at the length of ``simplified`` (see responses/length_matched.py).
MATCHED = {"none": "none_padded", "simplified": "simplified", "detailed": "detailed_cut"}

#: What the regression takes of each example, by quantity.
_OF_EXAMPLE = {
    "mean": "log mean over layers of each example",
    "mad": "log MAD of each example's own curve",
}
#: Why a ratio may be missing though there are items enough.
_NO_RATIO = {
    "mean": "no usable examples of this projection",
    "mad": "a MAD that may be noise alone, or a curve of one layer",
}
#: Log ratios of lengths that differ by less than this from item to item give no slope.
_SAME = 1e-6


@dataclass(frozen=True)
class _Pair:
    """The items with usable correct responses of two styles.

    ``values`` is [item, style, projection, layer], ``tokens`` [item, style].
    """

    styles: tuple[str, str]
    values: Array
    tokens: Array

    def __len__(self) -> int:
        return len(self.values)

    @property
    def lengths(self) -> str:
        """Both styles with their mean response tokens."""
        return " / ".join(
            f"{style} ({mean:.0f} tokens)"
            for style, mean in zip(self.styles, self.tokens.mean(0), strict=True)
        )

    def ratio(self, seed: int, of_sum: bool = False) -> Ratio:
        """The ratio of the first style to the second, of the mean loss or of the summed loss."""
        values = self.values * self.tokens[:, :, None, None] if of_sum else self.values
        return ratio_of(values[:, 0], values[:, 1], True, seed)


@dataclass(frozen=True)
class _Controlled:
    """A pair's ratio under one control, and what it rests on, or why there is none.

    ``details`` adds to ``how`` for each projection · quantity.
    """

    control: str
    pair: _Pair
    ratio: Ratio | None
    how: str
    details: Sequence[str] = ()


def length_effects(statistics: pl.DataFrame | pl.LazyFrame, seed: int = 0) -> pl.DataFrame:
    """Every two styles' ratio, as measured and with length held still: a table of LENGTH_SCHEMA.

    ``statistics`` is the table of statistics of one model × benchmark, with ``nuclear_norm`` and
    ``response_tokens``; only correct responses are compared. ``effect`` is the ratio of ``style``
    to ``against``, of the mean over layers or of the MAD of their mean curves, by ``control``:

    - "none": as measured;
    - "summed_loss": of the gradient of the summed loss, which is the mean loss's times the number
      of response tokens;
    - "matched": of styles of the same length in their places, where there are such;
    - "regression": exp(β) of log y = item + β · style + λ · log tokens, where y is an example's own
      mean over layers, or the MAD of its own curve, since a mean curve's MAD belongs to no
      example. With two responses an item, that is the line through the items' log ratios of y over
      their log ratios of tokens, and β its height where both are of one length. ``how`` gives the
      ratio without the slope, the slope, and how far the lengths of the two styles overlap.

    Effects have 95 % intervals over ``items``, those with usable responses of both styles; those of
    a MAD are without the noise that shows in it (see gradpipe/claims/ratios.py). Where an effect is
    not to be had it is null, and ``how`` says why; of a study that left ``nuclear_norm`` out there
    are none. Raises DataError for a table of several models or benchmarks.
    """
    correct = statistics.lazy().filter(pl.col("relevance") == "correct")
    measured = "nuclear_norm" in correct.collect_schema().names()
    if not measured or correct.limit(1).collect().is_empty():
        return LENGTH_SCHEMA.to_frame()
    norms = cell_values(correct, "nuclear_norm")
    # Each example has the same number at all of its layers and projections.
    tokens = np.fmax.reduce(cell_values(correct, "response_tokens").values, axis=(2, 3))
    present = {style for style, _ in norms.curves}
    rows = [
        row
        for family in (REASONING_STYLES, KNOWLEDGE_STYLES)
        for styles in combinations([style for style in family if style in present], 2)
        for controlled in _controlled(norms, tokens, styles, seed)
        for row in _rows(norms, styles, controlled)
    ]
    return pl.DataFrame(rows, schema=LENGTH_SCHEMA, orient="row").fill_nan(None)


def _controlled(
    norms: CellValues, tokens: Array, styles: tuple[str, str], seed: int
) -> Iterator[_Controlled]:
    """Two styles with their length left as it is, then held still in each way."""
    drawn = seed_of(seed, norms.model, norms.benchmark)
    pair = _pair(norms, tokens, styles)
    if len(pair) < FEWEST_ITEMS:
        for control in ("none", "summed_loss", "regression"):
            yield _Controlled(control, pair, None, _few(pair))
    else:
        summed = "nuclear norm × response tokens: the gradient of the summed loss"
        yield _Controlled("none", pair, pair.ratio(drawn), f"as measured: {pair.lengths}")
        yield _Controlled("summed_loss", pair, pair.ratio(drawn, of_sum=True), summed)
        yield _regressed(pair, drawn)
    present = {style for style, _ in norms.curves}
    if set(styles) <= MATCHED.keys() and {MATCHED[style] for style in styles} <= present:
        matched = _pair(norms, tokens, (MATCHED[styles[0]], MATCHED[styles[1]]))
        if len(matched) < FEWEST_ITEMS:
            yield _Controlled("matched", matched, None, _few(matched))
        else:
            how = f"of one length: {matched.lengths}"
            yield _Controlled("matched", matched, matched.ratio(drawn), how)


def _pair(norms: CellValues, tokens: Array, styles: tuple[str, str]) -> _Pair:
    places = [norms.curves.index((style, "correct")) for style in styles]
    values, lengths = norms.values[:, places], tokens[:, places]
    finite = np.isfinite(np.fmax.reduce(values, axis=-1))
    usable = (finite[:, 0] & finite[:, 1]).any(axis=1) & (lengths > 0).all(axis=1)
    return _Pair(styles, values[usable], lengths[usable])


def _few(pair: _Pair) -> str:
    return (
        f"too few items: {len(pair)} with usable responses of both {pair.styles[0]} and "
        f"{pair.styles[1]}, and {FEWEST_ITEMS} are needed"
    )


def _regressed(pair: _Pair, seed: int) -> _Controlled:
    """exp(β) of the regression for every projection · quantity."""
    longer = np.log(pair.tokens[:, 0] / pair.tokens[:, 1])
    if np.ptp(longer) < _SAME:
        why = "no slope: one response is longer by the same factor in every item"
        if np.allclose(longer, 0):
            why = "nothing to hold still: both responses of every item have the same length"
        return _Controlled("regression", pair, None, why)
    levels = mean_and_mad(pair.values)
    logs = np.log(np.where(levels > 0, levels, np.nan))
    ratios = logs[:, 0] - logs[:, 1]
    plain, slopes = np.exp(mean(ratios)), _line(longer, ratios, np.ones((1, len(pair))))[1][0]
    found = bootstrap(lambda counts: _line(longer, ratios, counts)[0], len(pair), seed)
    quantities = QUANTITIES * (len(slopes) // len(QUANTITIES))
    return _Controlled(
        "regression",
        pair,
        Ratio(np.exp(found.effect), np.exp(found.low), np.exp(found.high), found.p),
        _overlap(pair.tokens),
        [
            f"{_OF_EXAMPLE[quantity]} on log tokens within items, slope {slope:.2f}; without it "
            f"the ratio is {ratio:.3g}; "
            for quantity, slope, ratio in zip(quantities, slopes, plain, strict=True)
        ],
    )


def _line(x: Array, y: Array, counts: Array) -> tuple[Array, Array]:
    """Height at x = 0 and slope of the least-squares line through (x [item], y [item, k]).

    Items count as often as they are drawn, ``counts`` [resample, item]; those whose y is not finite
    are left out. Both are [resample, k], NaN where all x drawn are equal.
    """
    used = np.isfinite(y)
    centre = x.mean()
    apart = np.where(used, (x - centre)[:, None], 0.0)
    known = np.where(used, y, 0.0)
    number = counts @ used
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_x, mean_y = counts @ apart / number, counts @ known / number
        spread = counts @ apart**2 / number - mean_x**2
        slope = (counts @ (apart * known) / number - mean_x * mean_y) / spread
        slope = np.where(spread > 1e-12, slope, np.nan)
    return mean_y - slope * (mean_x + centre), slope


def _overlap(tokens: Array) -> str:
    """How far the lengths of two styles [item, style] are of one range, in words."""
    low, high = tokens.min(0).max(), tokens.max(0).min()
    if low > high:
        return "lengths do not overlap: extrapolated"
    share = ((tokens >= low) & (tokens <= high)).mean()
    return f"{share:.0%} of the examples have lengths that both styles have"


def _rows(
    norms: CellValues, styles: tuple[str, str], controlled: _Controlled
) -> Iterator[tuple[Any, ...]]:
    """One row of LENGTH_SCHEMA a projection and quantity."""
    places = list(product(norms.projections, QUANTITIES))
    found = controlled.ratio
    unknown = np.full((len(places), 3), np.nan)
    numbers = unknown if found is None else np.stack([found.ratio, found.low, found.high], axis=-1)
    details = controlled.details or [""] * len(places)
    for (projection, quantity), of_place, detail in zip(places, numbers, details, strict=True):
        how = detail + controlled.how
        if found is not None and np.isnan(of_place[0]):
            how = f"{_NO_RATIO[quantity]}: {controlled.how}"
        of = (norms.model, norms.benchmark, norms.family, projection, *styles, quantity)
        yield *of, controlled.control, how, *of_place, len(controlled.pair)
