"""Length as a confounder: comparisons of two styles, as measured and with length controlled for.

The loss is a mean over response tokens, which ties a gradient's size to the response's length. The
effect of a style is separated from that of its length in three ways: by the gradient of the summed
loss, by styles of equal length, and by a regression on the number of tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
import polars as pl

from gradpipe.claims.inference.bootstrap import MIN_ITEMS, bootstrap, derive_seed, finite_mean
from gradpipe.claims.length.matched_styles import (
    answer_share_text,
    answer_shares,
    matched_styles,
)
from gradpipe.claims.length.regression import fit_line, overlap_text, overlaps
from gradpipe.claims.ratios import MEAN_AND_MAD, Ratio, mean_and_mad, ratio_of
from gradpipe.claims.schemas import LENGTH_SCHEMA
from gradpipe.claims.values import Array, CellValues, cell_values
from gradpipe.statistics.table import StatisticsFrame
from gradpipe.styles import (
    KNOWLEDGE_STYLES,
    REASONING_STYLES,
    THINKING_STYLES,
    compared_styles,
    ordered_styles,
)

#: The dependent variable of the regression, by quantity.
_DEPENDENT = {
    "mean": "log mean over layers of each example",
    "mad": "log MAD of each example's own curve",
}
#: Why a ratio may be missing although there are enough items.
_NO_RATIO = {
    "mean": "no usable examples of this projection",
    "mad": "a MAD that may be noise alone, or a curve of one layer",
}


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

    def ratio(self, seed: int, summed: bool = False) -> Ratio:
        """The ratio of the first style to the second, of the mean loss or of the summed loss."""
        values = self.values * self.tokens[:, :, None, None] if summed else self.values
        return ratio_of(values[:, 0], values[:, 1], True, seed)


@dataclass(frozen=True, kw_only=True)
class _Controlled:
    """A pair's ratio under one control, and how it was computed, or why there is no ratio.

    ``details`` go before ``how``, one per projection · quantity. ``answer_share`` is the mean share
    of the answer in the loss tokens of padded answers.
    """

    control: str
    pair: _Pair
    ratio: Ratio | None
    how: str
    details: Sequence[str] = ()
    answer_share: float = math.nan


def length_effects(
    table: StatisticsFrame, seed: int = 0, order: Sequence[str] = ()
) -> pl.DataFrame:
    """The ratios of every two styles, as measured and with length controlled for.

    ``table`` is the statistics table of one model and benchmark, with ``nuclear_norm`` and
    ``response_tokens``; only correct responses are compared. ``order`` is that of the study's own
    styles, by default by name. Returns a table of LENGTH_SCHEMA.
    ``effect`` is the ratio of ``style`` to ``against``, of the mean over layers or of the MAD of
    their mean curves, by ``control``:

    - "none": as measured;
    - "summed_loss": of the gradient of the summed loss, which is that of the mean loss times the
      number of response tokens;
    - "matched": of variants of the two styles with equal length, if there are any; for padded
      answers ``answer_share`` is the mean share of the answer in the loss tokens;
    - "regression": exp(β) of log y = item + β · style + λ · log tokens, where y is an example's own
      mean over layers, or the MAD of its own curve, since the MAD of a mean curve belongs to no
      single example. With two responses per item, this is the line through the items' log ratios
      of y over their log ratios of tokens, and β its height at equal lengths. It is computed only
      if the lengths overlap within items (see gradpipe/claims/length/regression.py). ``how`` gives
      the ratio without the slope, the slope, and how many items have which style longer.

    Effects have 95 % intervals over ``items``: those with usable responses of both styles. Ratios
    of MADs are corrected for noise (see gradpipe/claims/ratios.py). An effect that cannot be
    computed is null, and ``how`` says why; a table without ``nuclear_norm`` gives no rows. Raises
    DataError for a table of several models or benchmarks.
    """
    correct = table.lazy().filter(pl.col("relevance") == "correct")
    measured = "nuclear_norm" in correct.collect_schema().names()
    if not measured or correct.limit(1).collect().is_empty():
        return LENGTH_SCHEMA.to_frame()
    norms = cell_values(correct, "nuclear_norm")
    # The number of tokens is the same at all layers and projections of an example.
    tokens = np.fmax.reduce(cell_values(correct, "response_tokens").values, axis=(2, 3))
    present = {style for style, _ in norms.curves}
    pairs = [
        styles
        for family in (REASONING_STYLES, THINKING_STYLES, KNOWLEDGE_STYLES)
        for styles in combinations([style for style in family if style in present], 2)
    ]
    own = compared_styles(ordered_styles(present, order))
    rows = [
        row
        for styles in (*pairs, *own)
        for controlled in _controlled(norms, tokens, styles, seed)
        for row in _rows(norms, styles, controlled)
    ]
    return pl.DataFrame(rows, schema=LENGTH_SCHEMA).fill_nan(None)


def _controlled(
    norms: CellValues, tokens: Array, styles: tuple[str, str], seed: int
) -> Iterator[_Controlled]:
    """Two styles as measured, then with each control for length."""
    drawn = derive_seed(seed, norms.model, norms.benchmark)
    pair = _pair(norms, tokens, styles)
    if len(pair) < MIN_ITEMS:
        for control in ("none", "summed_loss", "regression"):
            yield _Controlled(control=control, pair=pair, ratio=None, how=_few(pair))
    else:
        summed = "nuclear norm × response tokens: the gradient of the summed loss"
        yield _Controlled(
            control="none",
            pair=pair,
            ratio=pair.ratio(drawn),
            how=f"as measured: {pair.lengths}",
        )
        yield _Controlled(
            control="summed_loss", pair=pair, ratio=pair.ratio(drawn, summed=True), how=summed
        )
        yield _regressed(pair, drawn)
    yield from _matched(norms, tokens, styles, drawn)


def _matched(
    norms: CellValues, tokens: Array, styles: tuple[str, str], seed: int
) -> Iterator[_Controlled]:
    """The variants of two styles with equal length, if the cell has them."""
    variants = matched_styles(styles)
    if variants is None or not set(variants) <= {style for style, _ in norms.curves}:
        return
    pair = _pair(norms, tokens, (variants[0], variants[1]))
    if len(pair) < MIN_ITEMS:
        yield _Controlled(control="matched", pair=pair, ratio=None, how=_few(pair))
        return
    shares = answer_shares(tokens, norms.curves) if "none" in styles else np.empty(0)
    padding = f"; {answer_share_text(shares)}" if shares.size else ""
    yield _Controlled(
        control="matched",
        pair=pair,
        ratio=pair.ratio(seed),
        how=f"of equal length: {pair.lengths}{padding}",
        answer_share=float(shares.mean()) if shares.size else math.nan,
    )


def _pair(norms: CellValues, tokens: Array, styles: tuple[str, str]) -> _Pair:
    curves = [norms.curves.index((style, "correct")) for style in styles]
    values, lengths = norms.values[:, curves], tokens[:, curves]
    finite = np.isfinite(np.fmax.reduce(values, axis=-1))
    usable = (finite[:, 0] & finite[:, 1]).any(axis=1) & (lengths > 0).all(axis=1)
    return _Pair(styles, values[usable], lengths[usable])


def _few(pair: _Pair) -> str:
    return (
        f"too few items: {len(pair)} with usable responses of both {pair.styles[0]} and "
        f"{pair.styles[1]}, and {MIN_ITEMS} are required"
    )


def _regressed(pair: _Pair, seed: int) -> _Controlled:
    """exp(β) of the regression for every projection · quantity."""
    longer = np.log(pair.tokens[:, 0] / pair.tokens[:, 1])
    levels = mean_and_mad(pair.values)
    logs = np.log(np.where(levels > 0, levels, np.nan))
    ratios = logs[:, 0] - logs[:, 1]
    how = overlap_text(longer, pair.styles)
    overlapping = overlaps(longer, ratios)
    if not overlapping.any():
        return _Controlled(control="regression", pair=pair, ratio=None, how=how)
    ratios = np.where(overlapping, ratios, np.nan)
    slopes = fit_line(longer, ratios, np.ones((1, len(pair))))[1][0]
    plain = np.exp(finite_mean(ratios))
    estimate = bootstrap(lambda counts: fit_line(longer, ratios, counts)[0], len(pair), seed)
    quantities = MEAN_AND_MAD * (len(slopes) // len(MEAN_AND_MAD))
    return _Controlled(
        control="regression",
        pair=pair,
        ratio=Ratio(
            ratio=np.exp(estimate.effect),
            low=np.exp(estimate.low),
            high=np.exp(estimate.high),
            p=estimate.p,
        ),
        how=how,
        details=[
            f"{_DEPENDENT[quantity]} on log tokens within items, slope {slope:.2f}; without it "
            f"the ratio is {ratio:.3g}; "
            if np.isfinite(slope)
            else ""
            for quantity, slope, ratio in zip(quantities, slopes, plain, strict=True)
        ],
    )


def _rows(
    norms: CellValues, styles: tuple[str, str], controlled: _Controlled
) -> Iterator[dict[str, Any]]:
    """One row of LENGTH_SCHEMA per projection and quantity."""
    keys = list(product(norms.projections, MEAN_AND_MAD))
    ratio = controlled.ratio
    unknown = np.full((len(keys), 3), np.nan)
    numbers = unknown if ratio is None else np.stack([ratio.ratio, ratio.low, ratio.high], axis=-1)
    details = controlled.details or [""] * len(keys)
    for (projection, quantity), (effect, low, high), detail in zip(
        keys, numbers, details, strict=True
    ):
        how = detail + controlled.how
        if ratio is not None and np.isnan(effect):
            how = f"{_NO_RATIO[quantity]}: {controlled.how}"
        yield {
            "model": norms.model,
            "benchmark": norms.benchmark,
            "family": norms.family,
            "projection": projection,
            "style": styles[0],
            "against": styles[1],
            "quantity": quantity,
            "control": controlled.control,
            "how": how,
            "effect": effect,
            "low": low,
            "high": high,
            "items": len(controlled.pair),
            "answer_share": controlled.answer_share,
        }
