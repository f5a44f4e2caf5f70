"""The effects of claims on two styles at equal length, or at equal loss, on one benchmark.

Each is a regression within items (see gradpipe/claims/length/regression.py) of the log of the
claim's quantity. The quantity is that of an example's own curve, since a mean curve over items of
different lengths has no length of its own. All are measured on the resamples of the verdict.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gradpipe.claims.contrasts import Claim, Term
from gradpipe.claims.effects import Bound, Effects
from gradpipe.claims.inference.bootstrap import degrees_of_freedom, derive_seed, replicates
from gradpipe.claims.length.regression import fit_line, overlaps
from gradpipe.claims.measures import NOISE_BOUNDS, CurveQuantity
from gradpipe.claims.values import Array, CellValues

#: The value that was measured, without a correction for noise.
_PLAIN = NOISE_BOUNDS.index("upper")


class _Line(NamedTuple):
    """The log ratios of one claim and model: x [item], y [item, projection], of all items."""

    x: Array
    y: Array


def regressed_effects(
    claims: Sequence[Claim],
    measured: Sequence[Sequence[Effects]],
    values: Mapping[tuple[str, str], CellValues],
    covariate: str,
    *,
    seed: int,
    resamples: int,
) -> list[list[Effects]]:
    """Each claim's effects at equal ``covariate``, "response_tokens" or "loss", by model.

    ``measured`` are the effects without the regression, and ``values`` those of one benchmark by
    (model, statistic), the covariate included. An effect is NaN where the covariate's values do not
    overlap within items. Its ``items`` are those with both values.
    """
    items = sorted({item for cell in values.values() for item in cell.items})
    lines = [
        [_line(claim, one, values, covariate, items) for one in of_claim]
        for claim, of_claim in zip(claims, measured, strict=True)
    ]
    flat = [line for of_claim in lines for line in of_claim]
    if not flat:
        return [[] for _ in claims]
    benchmark = next(one.benchmark for of_claim in measured for one in of_claim)
    drawn = replicates(
        lambda counts: np.concatenate([fit_line(*line, counts)[0] for line in flat], axis=1),
        len(items),
        derive_seed(seed, "items", benchmark),
        resamples,
    )
    start = 0
    effects: list[list[Effects]] = []
    for of_claim, of_lines in zip(measured, lines, strict=True):
        effects.append([])
        for one, line in zip(of_claim, of_lines, strict=True):
            columns = slice(start, start := start + line.y.shape[1])
            height = Bound(drawn.observed[columns], drawn.resampled[:, columns])
            effects[-1].append(_effects(one, line, height))
    return effects


def log_ratio_of(
    claim: Claim, model: str, values: Mapping[tuple[str, str], CellValues], column: str
) -> Array:
    """The log ratio of an example's ``column`` between a claim's two styles: [item].

    NaN for an item without both, or if one is not positive.
    """
    cell = values[model, column]
    # The value is the same at all layers and projections of an example.
    by_example = np.fmax.reduce(cell.values, axis=(2, 3))
    first, second = (
        by_example[:, cell.curves.index((term.style, term.relevance))] for term in _ordered(claim)
    )
    return _log(first) - _log(second)


def _ordered(claim: Claim) -> list[Term]:
    """The terms of a ratio: numerator and denominator."""
    return sorted(claim.terms, key=lambda term: -term.coefficient)


def _line(
    claim: Claim,
    effects: Effects,
    values: Mapping[tuple[str, str], CellValues],
    covariate: str,
    items: Sequence[str],
) -> _Line:
    """The log ratios of one model, with one row per item of ``items``; y is NaN without overlap."""
    cell = values[effects.model, claim.statistic]
    logs = []
    for term in _ordered(claim):
        curves = cell.values[:, cell.curves.index((term.style, term.relevance))]
        bounds = CurveQuantity(curves, claim.quantity, claim.segment)(curves)
        logs.append(_log(bounds[:, _PLAIN]))
    x, y = log_ratio_of(claim, effects.model, values, covariate), logs[0] - logs[1]
    y = np.where(overlaps(x, y), y, np.nan)
    rows = np.searchsorted(items, cell.items)
    line = _Line(np.full(len(items), np.nan), np.full((len(items), y.shape[1]), np.nan))
    line.x[rows], line.y[rows] = x, y
    return line


def _effects(measured: Effects, line: _Line, height: Bound) -> Effects:
    used = (np.isfinite(line.y) & np.isfinite(line.x)[:, None]).sum(0)
    return Effects(
        model=measured.model,
        against_model=None,
        benchmark=measured.benchmark,
        projections=measured.projections,
        effect=height.value,
        lower=height,
        upper=height,
        items=used,
        units=used,
        effective_units=used.astype(np.float64),
        # A line has one parameter more than a mean.
        degrees_of_freedom=degrees_of_freedom(used - 1),
        pairing="item",
        defined=np.isfinite(height.value),
    )


def _log(values: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(values > 0, np.log(values), np.nan)
