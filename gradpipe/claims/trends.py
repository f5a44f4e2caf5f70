"""Claims along a training run: how a claim's ratio changes with the step, and when it emerges.

The models of a table are checkpoints of one run, each with its step. They are measured on the same
items, so their errors are correlated; the covariance comes from the common resamples. The change is
that of the least-squares line through the log ratios, and its interval is the sampling error of
these checkpoints, by the normal distribution. Mann and Kendall's test of a monotonic trend (Mann
1945, Kendall 1948) makes no assumption about the shape. A claim emerges at the first step from
which on it holds at all later ones; the interval of that step is over draws of the log ratios from
their joint distribution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from gradpipe.claims.contrasts import Claim
from gradpipe.claims.inference.bootstrap import CONFIDENCE_LEVEL, RESAMPLES, derive_seed
from gradpipe.claims.inference.random_effects import BenchmarkSums, benchmark_sums, effects_by_model
from gradpipe.claims.measured_claims import measure_all
from gradpipe.claims.overall import BenchmarkTotal, benchmark_total, combine_totals
from gradpipe.claims.paper import PAPER_CLAIMS
from gradpipe.claims.parse import parsed_claims
from gradpipe.claims.values import Array, read_values, tables_by_benchmark, tables_of_cells
from gradpipe.errors import DataError
from gradpipe.statistics.table import StatisticsFrame

#: No trend is tested over fewer steps.
MIN_STEPS = 4
#: One row per claim: its ratio at the ``first`` and the ``last`` step, the ``change`` from first to
#: last along the line (a ratio of ratios) with its 95 % interval and ``p``, Kendall's ``tau`` with
#: its ``tau_p``, and the step at which the claim ``emerges``, with a 95 % interval. A null step is
#: "never": the claim does not hold at the last step, or in more than 2.5 % of the draws.
TREND_SCHEMA = pl.Schema(
    {
        "claim": pl.String,
        "steps": pl.Int64,
        "first": pl.Float64,
        "last": pl.Float64,
        "change": pl.Float64,
        "change_low": pl.Float64,
        "change_high": pl.Float64,
        "p": pl.Float64,
        "tau": pl.Float64,
        "tau_p": pl.Float64,
        "emerges": pl.Float64,
        "emerges_low": pl.Float64,
        "emerges_high": pl.Float64,
    }
)
#: One row per claim and checkpoint: the claim's ratio over all benchmarks and projections with its
#: interval, and the verdict on this checkpoint alone, as the overall verdict of a study with no
#: other model (but without the rule on cells that disagree). ``items`` is a count.
CLAIM_STEP_SCHEMA = pl.Schema(
    {
        "claim": pl.String,
        "model": pl.String,
        "step": pl.Float64,
        "effect": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "p": pl.Float64,
        "verdict": pl.String,
        "items": pl.Int64,
    }
)
_DRAWS = 4000


class ClaimsInTime(NamedTuple):
    """The ``trends`` of claims (TREND_SCHEMA), and their ratios ``by_step`` (CLAIM_STEP_SCHEMA)."""

    trends: pl.DataFrame
    by_step: pl.DataFrame


def trends(
    table: StatisticsFrame | Sequence[StatisticsFrame],
    steps: Mapping[str, float],
    claims: Sequence[Claim | str] = PAPER_CLAIMS,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pl.DataFrame:
    """Compute how the ratio of each claim changes along the checkpoints of a training run.

    Args:
        table: A statistics table, as ``gp.statistics_table`` returns it, or a sequence of tables,
            of several models and any number of benchmarks. Each model is a checkpoint.
        steps: The step of each model; other models are ignored.
        claims: Claims, or their text, as for ``gp.judge``. Claims about each layer, and claims that
            compare a tuned model with its base, have no trend and are skipped.
        seed: Seed of the resamples and draws.
        resamples: Number of resamples.

    Returns:
        One row per claim with results at four steps or more: ``claim``, ``steps`` (a count), the
        ratio at the ``first`` and ``last`` step, ``change`` (the ratio of the last to the first on
        a line through all) with its 95 % interval ``change_low`` to ``change_high`` and ``p``,
        Kendall's ``tau`` and ``tau_p``, and ``emerges``, the first step from which on the claim
        holds, with its 95 % interval ``emerges_low`` to ``emerges_high`` (null: never).

    Raises:
        DataError: ``table`` is another kind of table, or holds none of the models in ``steps``.
        StudyError: The text of a claim is malformed.

    Examples:
        >>> pairs = [(f"What is {n} plus {n}?", f"It is {2 * n}.") for n in range(10)]
        >>> spectra = gp.extract_spectra(model, tokenizer, pairs)
        >>> table = pl.concat(
        ...     spectra.with_columns(
        ...         pl.col("nuclear_norm") * (size if style == "none" else 1),
        ...         model=pl.lit(f"checkpoint-{size}"),
        ...         style=pl.lit(style),
        ...     )
        ...     for size in (1, 2, 3, 4)
        ...     for style in ("none", "detailed")
        ... )
        >>> steps = {f"checkpoint-{size}": 100.0 * size for size in (1, 2, 3, 4)}
        >>> found = gp.trends(table, steps, ["none > detailed on nuclear_norm"])
        >>> found.select("steps", pl.col("last").round(3), "emerges").row(0)
        (4, 4.0, 200.0)
    """
    return claims_in_time(table, steps, claims, seed=seed, resamples=resamples).trends


def claims_in_time(
    table: StatisticsFrame | Sequence[StatisticsFrame],
    steps: Mapping[str, float],
    claims: Sequence[Claim | str],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> ClaimsInTime:
    """Compute the trends of claims and their ratios at each step; see ``trends``."""
    tables = tables_of_cells(table)
    parsed = [
        claim
        for claim in parsed_claims(claims, tables)
        if claim.quantity != "layers" and not claim.compares_models
    ]
    statistics = {name for claim in parsed for name in claim.statistics}
    sums: list[list[BenchmarkSums]] = [[] for _ in parsed]
    totals: list[dict[str, list[BenchmarkTotal]]] = [{} for _ in parsed]
    present = False
    for of_benchmark in tables_by_benchmark(tables):
        values = read_values(of_benchmark, statistics)
        kept = {key: cell for key, cell in values.items() if key[0] in steps}
        present |= bool(kept)
        for index, effects in enumerate(measure_all(parsed, kept, (), seed, resamples)):
            counted = [one.can_be_judged for one in effects]
            of_models = benchmark_sums(effects, counted)
            sums[index] += [of_models] if of_models is not None else []
            for one, used in zip(effects, counted, strict=True):
                total = benchmark_total([one], [used])
                totals[index].setdefault(one.model, []).extend([total] if total else [])
    if statistics and not present:
        raise DataError(
            f"The table has none of the models {', '.join(steps)}: name models as it does."
        )
    rows = [
        row
        for claim, of_claim in zip(parsed, sums, strict=True)
        if of_claim and (row := _trend(claim, of_claim, steps, seed))
    ]
    ratios = [
        _ratio_at(claim, model, steps[model], of_model)
        for claim, by_model in zip(parsed, totals, strict=True)
        for model, of_model in sorted(by_model.items(), key=lambda one: steps[one[0]])
        if of_model
    ]
    return ClaimsInTime(
        pl.DataFrame(rows, schema=TREND_SCHEMA), pl.DataFrame(ratios, schema=CLAIM_STEP_SCHEMA)
    )


def _ratio_at(
    claim: Claim, model: str, step: float, totals: Sequence[BenchmarkTotal]
) -> dict[str, Any]:
    """A row of CLAIM_STEP_SCHEMA."""
    found = combine_totals(totals, claim.region)
    p_values = {
        "supported": float(found["supported_p"] or 0.0),
        "contradicted": float(found["contradicted_p"] or 0.0),
    }
    verdict = min(p_values, key=lambda name: p_values[name])
    p = p_values[verdict]
    return {
        "claim": claim.claim,
        "model": model,
        "step": step,
        **{name: float(np.exp(found[name] or 0.0)) for name in ("effect", "low", "high")},
        "p": p,
        "verdict": verdict if p < 1 - CONFIDENCE_LEVEL else "undecided",
        "items": found["items"],
    }


def _trend(
    claim: Claim, sums: Sequence[BenchmarkSums], steps: Mapping[str, float], seed: int
) -> dict[str, Any] | None:
    from scipy.stats import kendalltau

    models, effects, covariance = effects_by_model(sums)
    at = np.array([steps[model] for model in models])
    order = np.argsort(at, kind="stable")
    at, effects, covariance = at[order], effects[order], covariance[np.ix_(order, order)]
    if len(np.unique(at)) < MIN_STEPS:
        return None
    change, se, p = _change(at, effects, covariance)
    reach = NormalDist().inv_cdf((1 + CONFIDENCE_LEVEL) / 2) * se
    tau = kendalltau(at, effects)
    draws = np.random.default_rng(derive_seed(seed, "emerges", claim.claim)).multivariate_normal(
        effects, covariance, size=_DRAWS, method="eigh"
    )
    tail = (1 - CONFIDENCE_LEVEL) / 2
    drawn = np.sort(_emergence(draws, claim.region, at))
    low, high = (drawn[round(share * (_DRAWS - 1))] for share in (tail, 1 - tail))
    emerges = _emergence(effects[None], claim.region, at)[0]
    return {
        "claim": claim.claim,
        "steps": len(at),
        "first": np.exp(effects[0]),
        "last": np.exp(effects[-1]),
        "change": np.exp(change),
        "change_low": np.exp(change - reach),
        "change_high": np.exp(change + reach),
        "p": p,
        "tau": float(tau.statistic),
        "tau_p": float(tau.pvalue),
        **{
            name: float(step) if np.isfinite(step) else None
            for name, step in (
                ("emerges", emerges),
                ("emerges_low", low),
                ("emerges_high", high),
            )
        },
    }


def _change(steps: Array, effects: Array, covariance: Array) -> tuple[float, float, float]:
    """The change of the log ratio along the line, its standard error, and a two-sided p-value."""
    from scipy.special import ndtr

    place = (steps - steps.mean()) / (steps[-1] - steps[0])
    weights = place / (place**2).sum()
    change = float(weights @ effects)
    se = float(np.sqrt(max(weights @ covariance @ weights, 0.0)))
    return change, se, float(2 * ndtr(-abs(change) / se)) if se > 0 else float(change == 0)


def _emergence(effects: Array, region: tuple[float, float], steps: Array) -> Array:
    """The first step from which on log ratios [draw, step] lie inside ``region``: [draw].

    Infinity if they never do.
    """
    inside = (effects > region[0]) & (effects < region[1])
    lasting = np.logical_and.accumulate(inside[:, ::-1], axis=1)[:, ::-1]
    first = np.where(lasting.any(1), lasting.argmax(1), len(steps))
    return np.append(steps, np.inf)[first]
