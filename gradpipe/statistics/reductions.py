"""The statistics of one spectrum, each a Polars expression over ``singular_values``.

A new statistic is one entry in ``REDUCTIONS``: it is computed from stored spectra, without a model.
"""

from collections.abc import Collection, Sequence

import polars as pl

from gradpipe.errors import StudyError, nearest

#: No power law is fitted to fewer values than these in the upper half of a spectrum.
TAIL_VALUES = 10

#: Part of every statistics table's version: raise it when a definition below changes,
#: or when another table is written with it.
STATISTICS_VERSION = "3"

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
#: The fitted share of the tail above each of its values; the observed share steps down at each.
_fitted = (_logarithms / -_logarithms.list.mean()).list.eval(pl.element().exp())
_rank = pl.int_ranges(1, _count + 1)
_distance = pl.max_horizontal(
    (_fitted - (_rank - 1) / _count).list.max(), (_rank / _count - _fitted).list.max()
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
    #: √Σσ², computed from the factors on the accelerator
    "frobenius_norm": pl.col("frobenius_norm"),
    #: exp(−Σ p ln p), p = σ/Σσ (Roy and Vetterli 2007), written as ln N − Σ σ ln σ / N
    "effective_rank": (_nuclear.log() - _entropies / _nuclear).exp(),
    #: ‖G‖²_F / σ1²
    "stable_rank": (pl.col("frobenius_norm") / _spectral).pow(2),
    #: Σσ over the row's loss
    "nuclear_norm_over_loss": _nuclear / pl.col("loss"),
    #: Σσ of the gradient of the loss that is summed, not averaged, over response tokens
    "nuclear_norm_summed_loss": _nuclear * pl.col("response_tokens"),
    #: Share of Σσ² in the 4, or 16, largest singular values
    "top4_energy": _top_energy(4),
    "top16_energy": _top_energy(16),
    #: The exponent of a power law for the upper half of the non-zero λ = σ²: 1 + n / Σ ln(λ/λ_min)
    #: over the n largest, λ_min the smallest of them, n at least TAIL_VALUES: the estimate of
    #: maximum likelihood (Hill 1975; Clauset, Shalizi and Newman 2009, equation 3.1)
    "tail_exponent": _where_tail(1 + 1 / _logarithms.list.mean()),
    #: The Kolmogorov–Smirnov distance between that power law and the tail, small if it fits
    "tail_distance": _where_tail(_distance),
    #: Σ‖gₜ‖ of the terms of G = Σ gₜ over token positions t: ‖G‖_F if all pointed the same way
    "token_gradient_norm": pl.col("token_norms"),
    #: ‖G‖_F / Σ‖gₜ‖, from 0 to 1: how far the tokens' gradients add up or cancel
    "token_alignment": pl.col("frobenius_norm") / pl.col("token_norms"),
    #: (Σ‖gₜ‖)² / Σ‖gₜ‖²: how many equal tokens would share the gradient as evenly. The alignment
    #: of orthogonal gₜ is 1 over its square root
    "effective_tokens": pl.col("token_norms").pow(2) / pl.col("token_energy"),
}

#: How G is composed of its tokens' gradients. Every statistics table has them, null where rows are
#: of an earlier version. No study has them by default: those of older workspaces stay current.
TOKEN_STATISTICS = ("token_gradient_norm", "token_alignment", "effective_tokens")
DEFAULT_STATISTICS = tuple(name for name in REDUCTIONS if name not in TOKEN_STATISTICS)


def reduce_spectra(spectra: pl.LazyFrame, names: Sequence[str] = tuple(REDUCTIONS)) -> pl.LazyFrame:
    """Add the named statistics to a frame of spectra.

    ``spectra`` has ``singular_values`` (list), ``frobenius_norm``, ``token_norms``,
    ``token_energy``, ``loss`` and ``response_tokens``, as far as the named statistics need them. A
    statistic that is not defined (the ratios and ranks of a zero gradient, the tail of a short
    spectrum) is null. Raises
    StudyError for an unknown statistic.
    """
    require_statistics(names, tuple(REDUCTIONS))
    # In two steps: within one, Polars would compute the condition's expression twice.
    return spectra.with_columns(REDUCTIONS[name].alias(name) for name in names).with_columns(
        pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in names
    )


def require_statistics(names: Sequence[str], known: Sequence[str]) -> None:
    """Raise StudyError for a name that is not in ``known``."""
    for name in names:
        if name not in known:
            raise StudyError(f"There is no statistic {name!r}: {nearest(name, list(known))}")


def computable_statistics(columns: Collection[str]) -> list[str]:
    """The statistics that follow from a table's columns."""
    return [
        name
        for name, reduction in REDUCTIONS.items()
        if set(reduction.meta.root_names()) <= set(columns)
    ]


def available_statistics(columns: Collection[str]) -> list[str]:
    """The statistics that are among a table's columns or follow from them."""
    computable = computable_statistics(columns)
    return [name for name in REDUCTIONS if name in columns or name in computable]
