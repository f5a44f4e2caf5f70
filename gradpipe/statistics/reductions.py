"""Statistics of one spectrum: each a Polars expression over ``singular_values``, one line a name.

A new statistic is one entry in ``REDUCTIONS``; nothing is extracted again for it.
"""

from collections.abc import Sequence

import polars as pl

from gradpipe.errors import StudyError, nearest

#: Fewer values than these in a spectrum's upper half have no tail to speak of.
TAIL_VALUES = 10

#: Part of every statistics table's version: raise it when a definition below changes.
STATISTICS_VERSION = "2"

_values = pl.col("singular_values").cast(pl.List(pl.Float64))
_nuclear = _values.list.sum()
_spectral = _values.list.max()
#: σ ln σ with 0 ln 0 = 0.
_entropies = _values.list.eval(
    pl.when(pl.element() > 0).then(pl.element() * pl.element().log()).otherwise(0.0)
).list.sum()

_descending = _values.list.sort(descending=True)
_squares = _descending * _descending
_count = _values.list.eval(pl.element() > 0).list.sum() // 2
_tail = _descending.list.head(_count)
#: ln(λ/λ_min) of the tail, largest first: the upper half of the non-zero λ = σ².
_logarithms = (_tail / _tail.list.last()).list.eval(2 * pl.element().log())
#: The fitted share of the tail above each of its values; the observed one falls there by one step.
_fitted = (_logarithms / -_logarithms.list.mean()).list.eval(pl.element().exp())
_place = pl.int_ranges(1, _count + 1)
_gap = pl.max_horizontal(
    (_fitted - (_place - 1) / _count).list.max(), (_place / _count - _fitted).list.max()
)


def _where_tail(statistic: pl.Expr) -> pl.Expr:
    return pl.when(_count >= TAIL_VALUES).then(statistic)


def _top_energy(k: int) -> pl.Expr:
    return _squares.list.head(k).list.sum() / _squares.list.sum()


REDUCTIONS: dict[str, pl.Expr] = {
    #: Σσ
    "nuclear_norm": _nuclear,
    #: σ1
    "spectral_norm": _spectral,
    #: σ1 / Σσ
    "sigma1_ratio": _spectral / _nuclear,
    #: √Σσ², taken from the factors on the accelerator
    "frobenius_norm": pl.col("frobenius_norm"),
    #: exp(−Σ p ln p), p = σ/Σσ (Roy and Vetterli 2007), written as ln N − Σ σ ln σ / N
    "effective_rank": (_nuclear.log() - _entropies / _nuclear).exp(),
    #: ‖G‖²_F / σ1²
    "stable_rank": (pl.col("frobenius_norm") / _spectral).pow(2),
    #: Σσ over the row's loss
    "nuclear_norm_over_loss": _nuclear / pl.col("loss"),
    #: Σσ of the gradient of the loss summed, not averaged, over the response's tokens
    "nuclear_norm_summed_loss": _nuclear * pl.col("response_tokens"),
    #: Σσ² of the 4, or 16, largest over Σσ²
    "top4_energy": _top_energy(4),
    "top16_energy": _top_energy(16),
    #: The exponent of a power law for the upper half of the non-zero λ = σ²: 1 + n / Σ ln(λ/λ_min)
    #: over the n largest, λ_min their least, n at least TAIL_VALUES. The estimate of maximum
    #: likelihood (Hill 1975; Clauset, Shalizi and Newman 2009, equation 3.1)
    "tail_exponent": _where_tail(1 + 1 / _logarithms.list.mean()),
    #: How far that power law is from the tail: the Kolmogorov–Smirnov distance, small where it fits
    "tail_distance": _where_tail(_gap),
}


def reduce_spectra(spectra: pl.LazyFrame, names: Sequence[str] = tuple(REDUCTIONS)) -> pl.LazyFrame:
    """Adds the named statistics to a frame of spectra.

    ``spectra`` has ``singular_values`` (list), ``frobenius_norm``, ``loss`` and
    ``response_tokens``, or those of them that the named statistics are made from. A gradient that
    is zero has no ratio or rank, a short spectrum no tail: those are null. Raises StudyError for an
    unknown statistic.
    """
    require_statistics(names, tuple(REDUCTIONS))
    # In two steps: within one, what a condition is about is computed once more for its result.
    return spectra.with_columns(REDUCTIONS[name].alias(name) for name in names).with_columns(
        pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in names
    )


def require_statistics(names: Sequence[str], known: Sequence[str]) -> None:
    """Raises StudyError for a name that is not among those known."""
    for name in names:
        if name not in known:
            raise StudyError(f"There is no statistic {name!r}: {nearest(name, list(known))}")
