"""Statistics of one spectrum: each a Polars expression over ``singular_values``, one line a name.

A new statistic is one entry in ``REDUCTIONS``; nothing is extracted again for it.
"""

from collections.abc import Sequence

import polars as pl

from gradpipe.errors import StudyError, nearest

#: Part of every statistics table's version: raise it when a definition below changes.
STATISTICS_VERSION = "1"

_values = pl.col("singular_values").cast(pl.List(pl.Float64))
_nuclear = _values.list.sum()
_spectral = _values.list.max()
#: σ ln σ with 0 ln 0 = 0.
_entropies = _values.list.eval(
    pl.when(pl.element() > 0).then(pl.element() * pl.element().log()).otherwise(0.0)
).list.sum()

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
}


def reduce_spectra(spectra: pl.LazyFrame, names: Sequence[str] = tuple(REDUCTIONS)) -> pl.LazyFrame:
    """Adds the named statistics to a frame of spectra.

    ``spectra`` has ``singular_values`` (list), ``frobenius_norm`` and ``loss``. A gradient that is
    zero has no ratio or rank: those are null. Raises StudyError for an unknown statistic.
    """
    for name in names:
        if name not in REDUCTIONS:
            raise StudyError(f"There is no statistic {name!r}: {nearest(name, list(REDUCTIONS))}")
    return spectra.with_columns(
        pl.when(REDUCTIONS[name].is_finite()).then(REDUCTIONS[name]).alias(name) for name in names
    )
