"""Random effects: what a claim's ratio would be on other benchmarks, or in other models.

The verdicts hold for the benchmarks and models that were run (fixed effects). With at least five of
them, the log ratios y of benchmarks, or of models, can also be seen as draws from a population with
the standard deviation τ. Its variance is the estimate of Paule and Mandel (1982), at which
Σ w (y − μ)² = k − 1 with w = 1 / (v + τ²) and sampling variances v, and the interval of the mean μ
is that of Hartung and Knapp (2001), with t of k − 1 degrees of freedom. A variance of 0 leaves the
interval no narrower than that of fixed effects (Röver, Knapp and Friede 2015).

Models are measured on the same items, so their sampling errors are correlated. The mean covariance
of two models is the variance of an error that they share: it is taken out of v and added to the
variance of the mean. The bounds that noise and skewed items leave are not part of this interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradpipe.claims.contrasts import Claim
from gradpipe.claims.effects import Effects
from gradpipe.claims.inference.bootstrap import CONFIDENCE_LEVEL, finite_mean
from gradpipe.claims.inference.decisions import LOG_ROUNDING
from gradpipe.claims.schemas import RANDOM_EFFECTS_SCHEMA
from gradpipe.claims.values import Array

#: With fewer benchmarks or models than this, their spread is not known well enough.
MIN_GROUPS = 5
#: The smallest share of a sampling variance that is left after the shared part is taken out.
_LEAST_SHARE = 0.01


@dataclass(frozen=True)
class RandomEffects:
    """The mean of log ratios with its 95 % interval, their spread ``tau``, and I² (0 to 1)."""

    effect: float
    low: float
    high: float
    tau: float
    i2: float


@dataclass(frozen=True)
class BenchmarkSums:
    """Sums of a claim's log ratios over the cells of each model on one benchmark.

    ``cells`` and ``effect`` are [model], ``covariance`` of their sampling errors [model, model].
    """

    models: tuple[str, ...]
    cells: NDArray[np.int64]
    effect: Array
    covariance: Array


def random_effects(effects: Array, variances: Array, shared: float = 0.0) -> RandomEffects:
    """Estimate the mean and spread of a population of log ratios, of which ``effects`` are some.

    ``variances`` are those of their sampling errors, which include the variance ``shared`` of an
    error that all have in common.
    """
    from scipy.optimize import brentq
    from scipy.special import stdtrit

    k = len(effects)
    smallest = max(float(variances.mean()) * _LEAST_SHARE, LOG_ROUNDING**2)
    own = np.maximum(variances - shared, smallest)

    def excess(tau2: float) -> float:
        weights = 1 / (own + tau2)
        mean = (weights * effects).sum() / weights.sum()
        return float((weights * (effects - mean) ** 2).sum()) - (k - 1)

    # At τ² = Σ (y − mean)² / (k − 1) or more, the weighted sum cannot exceed k − 1.
    most = float(effects.var(ddof=1))
    differ = most > LOG_ROUNDING**2 and excess(0) > 0
    tau2 = float(brentq(excess, 0, most, xtol=1e-12 * most)) if differ else 0.0
    weights = 1 / (own + tau2)
    effect = float((weights * effects).sum() / weights.sum())
    # At this τ², Hartung and Knapp's variance is that of the weighted mean.
    between = float(1 / weights.sum())
    variance = between + shared
    # Welch and Satterthwaite, where the shared error's variance is taken as known.
    free = (k - 1) * (variance / between) ** 2
    reach = float(stdtrit(free, (1 + CONFIDENCE_LEVEL) / 2)) * np.sqrt(variance)
    fixed = 1 / own
    typical = (k - 1) * fixed.sum() / (fixed.sum() ** 2 - (fixed**2).sum())
    return RandomEffects(
        effect=effect,
        low=effect - reach,
        high=effect + reach,
        tau=float(np.sqrt(tau2)),
        i2=float(tau2 / (tau2 + typical)),
    )


def benchmark_sums(
    effects: Sequence[Effects], counted: Sequence[NDArray[np.bool_]]
) -> BenchmarkSums | None:
    """Sums over the projections that are ``counted`` of a benchmark's effects, None without any."""
    pairs = [(one, kept) for one, kept in zip(effects, counted, strict=True) if kept.any()]
    if not pairs:
        return None
    moves = np.stack(
        [(one.lower.resampled + one.upper.resampled)[:, kept].sum(1) / 2 for one, kept in pairs],
        axis=1,
    )
    known = moves[np.isfinite(moves).all(1)]
    units = min(int(one.units[kept].min()) for one, kept in pairs)
    centered = known - finite_mean(known)
    covariance = centered.T @ centered / max(len(known) - 1, 1) * units / max(units - 1, 1)
    return BenchmarkSums(
        models=tuple(
            one.model if one.against_model is None else f"{one.model} against {one.against_model}"
            for one, _ in pairs
        ),
        cells=np.array([kept.sum() for _, kept in pairs]),
        effect=np.array([one.effect[kept].sum() for one, kept in pairs]),
        covariance=covariance,
    )


def random_effects_of(claim: Claim, sums: Sequence[BenchmarkSums]) -> pl.DataFrame:
    """A claim's random effects over benchmarks and over models: RANDOM_EFFECTS_SCHEMA.

    There is a row if there are at least MIN_GROUPS. A claim about each layer has none, since it is
    not about a mean.
    """
    rows = []
    if claim.quantity != "layers":
        for over, groups in (
            ("benchmark", _by_benchmark(sums)),
            ("model", effects_by_model(sums)[1:]),
        ):
            effects, covariance = groups
            if len(effects) < MIN_GROUPS:
                continue
            off_diagonal = covariance[~np.eye(len(effects), dtype=bool)]
            shared = max(float(off_diagonal.mean()), 0.0)
            found = random_effects(effects, np.diag(covariance), shared)
            ratios = {
                "effect": np.exp(found.effect),
                "low": np.exp(found.low),
                "high": np.exp(found.high),
            }
            rows.append(
                {"claim": claim.claim, "over": over, "k": len(effects)}
                | ratios
                | {"tau": found.tau, "i2": found.i2}
            )
    return pl.DataFrame(rows, schema=RANDOM_EFFECTS_SCHEMA)


def _by_benchmark(sums: Sequence[BenchmarkSums]) -> tuple[Array, Array]:
    """The mean log ratio of each benchmark, and the covariance of their errors."""
    cells = np.array([one.cells.sum() for one in sums], dtype=np.float64)
    effects = np.array([one.effect.sum() for one in sums]) / np.maximum(cells, 1)
    variances = np.array([one.covariance.sum() for one in sums]) / np.maximum(cells, 1) ** 2
    return effects, np.diag(variances)


def effects_by_model(sums: Sequence[BenchmarkSums]) -> tuple[list[str], Array, Array]:
    """Models, each one's mean log ratio over its benchmarks, and the errors' covariance."""
    models = sorted({model for one in sums for model in one.models})
    cells, totals = np.zeros((2, len(models)))
    covariance = np.zeros((len(models), len(models)))
    for one in sums:
        places = np.array([models.index(model) for model in one.models])
        cells[places] += one.cells
        totals[places] += one.effect
        covariance[np.ix_(places, places)] += one.covariance
    return models, totals / cells, covariance / np.outer(cells, cells)
