"""Claims that compare two styles, with length controlled for: one figure per claim and control.

The gradient of the mean loss over n tokens is the sum of the tokens' gradients divided by n. The
controls divide that sum by something else, or compare other responses or another point of a line:

- "measured": divided by n, as judged. "summed_loss": by 1. "per_sqrt_token": by √n.
- "matched": as measured, of variants of the two styles with equal length.
- "regression": as measured, at equal length by a regression within items.
- "loss_matched": as measured, at equal loss by the same regression on the log of the loss.

docs/explanation/length.md says which law of length each of them assumes.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from gradpipe.claims.contrasts import Claim
from gradpipe.claims.effects import Effects, measure_effects
from gradpipe.claims.inference.bootstrap import RESAMPLES
from gradpipe.claims.length.matched_styles import (
    answer_share_text,
    answer_shares,
    matched_styles,
)
from gradpipe.claims.length.regression import overlap_text
from gradpipe.claims.length.style_regression import log_ratio_of, regressed_effects
from gradpipe.claims.length.survival import outcome_of
from gradpipe.claims.measured_claims import MeasuredClaim
from gradpipe.claims.overall import BenchmarkTotal, benchmark_total, combine_totals
from gradpipe.claims.schemas import LENGTH_CONTROL_SCHEMA
from gradpipe.claims.values import Array, CellValues, read_values, tables_by_benchmark
from gradpipe.styles import REASONING_STYLES

#: The controls in the order of a claim's rows.
LENGTH_CONTROLS = (
    "measured",
    "matched",
    "regression",
    "summed_loss",
    "per_sqrt_token",
    "loss_matched",
)
#: The power of the number of tokens that scales a gradient of the mean loss.
_POWERS = {"summed_loss": 1.0, "per_sqrt_token": 0.5}
#: Statistics that scale with the gradient. The others are the same for both losses, or have their
#: own scale.
SIZES = ("nuclear_norm", "spectral_norm", "frobenius_norm")
_COVARIATES = {"regression": "response_tokens", "loss_matched": "loss"}
_Values = dict[tuple[str, str], CellValues]


@dataclass
class _Figure:
    """What is known of one claim under one control, from one benchmark after the other."""

    totals: list[BenchmarkTotal] = field(default_factory=list)
    #: Why cells have no effect, or what is special about them, each once.
    notes: dict[str, None] = field(default_factory=dict)
    answer_shares: list[Array] = field(default_factory=list)


#: The figures of one claim by control.
_Figures = defaultdict[str, _Figure]


def compares_styles(claim: Claim) -> bool:
    """Whether a claim is about the ratio of two styles of one relevance, of the same model.

    A claim that measures its own effects is not, whichever styles its terms name.
    """
    if isinstance(claim, MeasuredClaim) or len(claim.terms) != 2 or claim.quantity == "layers":
        return False
    one, other = claim.terms
    return (
        {one.coefficient, other.coefficient} == {1, -1}
        and one.style != other.style
        and (one.relevance, one.role) == (other.relevance, other.role)
        and not claim.compares_models
    )


def length_control(
    tables: Sequence[pl.LazyFrame],
    claims: Sequence[Claim],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pl.DataFrame:
    """The ratios of claims that compare two styles, as measured and with each control for length.

    ``tables`` are statistics tables of one model and benchmark each, with ``response_tokens`` and
    ``loss`` for the controls that need them. Returns a table of LENGTH_CONTROL_SCHEMA with one row
    per claim and control of LENGTH_CONTROLS. A control covers the cells that are judged as measured
    and that it can be computed for. Effects are combined over cells as verdicts are, from the same
    resamples. There are no rows for other claims, or without ``response_tokens``. Raises DataError
    for a table that holds an example twice.
    """
    compared = [claim for claim in claims if compares_styles(claim)]
    figures = [_Figures(_Figure) for _ in compared]
    columns = {claim.statistic for claim in compared} | {"response_tokens", "loss"}
    with_tokens = [t for t in tables if "response_tokens" in t.collect_schema().names()]
    for of_benchmark in tables_by_benchmark(with_tokens) if compared else ():
        values = read_values(of_benchmark, columns)
        _add_benchmark(figures, compared, values, seed=seed, resamples=resamples)
    rows = [
        row
        for claim, of_claim in zip(compared, figures, strict=True)
        if of_claim
        for row in _rows(claim, of_claim)
    ]
    return pl.DataFrame(rows, schema=LENGTH_CONTROL_SCHEMA)


def _add_benchmark(
    figures: Sequence[_Figures],
    claims: Sequence[Claim],
    values: _Values,
    *,
    seed: int,
    resamples: int,
) -> None:
    """Add the effects of one benchmark to the figures of the claims that it has curves for."""
    statistics = {key: cell for key, cell in values.items() if key[1] not in _COVARIATES.values()}

    def measure(some: Sequence[Claim], cells: _Values) -> list[list[Effects]]:
        return measure_effects(some, cells, (), seed, resamples)

    measured = measure(claims, statistics)

    def add(control: str, effects: Mapping[Claim, Sequence[Effects]]) -> None:
        for of_claim, claim, usual in zip(figures, claims, measured, strict=True):
            total = _total(usual, effects.get(claim, ()))
            if usual:
                of_claim[control].totals += [total] if total is not None else []

    add("measured", dict(zip(claims, measured, strict=True)))
    variants = {claim: matched_styles(_styles(claim)) for claim in claims}
    variable = [claim for claim, styles in variants.items() if styles is not None]
    matched = measure([_matched(claim, variants[claim] or ()) for claim in variable], statistics)
    add("matched", dict(zip(variable, matched, strict=True)))
    sizes = [claim for claim in claims if claim.statistic in SIZES]
    for control, power in _POWERS.items():
        scaled = {key: _scaled(cell, values, power) for key, cell in statistics.items()}
        add(control, dict(zip(sizes, measure(sizes, scaled), strict=True)))
    for control, covariate in _COVARIATES.items():
        known = [[one for one in some if (one.model, covariate) in values] for some in measured]
        at_equal = regressed_effects(
            claims, known, values, covariate, seed=seed, resamples=resamples
        )
        add(control, dict(zip(claims, at_equal, strict=True)))
    for of_claim, claim, usual in zip(figures, claims, measured, strict=True):
        for effect in usual:
            _annotate(of_claim, claim, effect.model, values)


def _styles(claim: Claim) -> tuple[str, ...]:
    return tuple(term.style for term in claim.terms)


def _matched(claim: Claim, styles: Sequence[str]) -> Claim:
    named = zip(claim.terms, styles, strict=True)
    return replace(claim, terms=tuple(replace(term, style=style) for term, style in named))


def _tokens(values: _Values, model: str) -> Array:
    """Response tokens [item, curve]: they are the same at all layers and projections."""
    tokens: Array = np.fmax.reduce(values[model, "response_tokens"].values, axis=(2, 3))
    return tokens


def _scaled(cell: CellValues, values: _Values, power: float) -> CellValues:
    tokens = _tokens(values, cell.model)
    scale = np.where(tokens > 0, tokens, np.nan) ** power
    return replace(cell, values=cell.values * scale[:, :, None, None])


def _total(measured: Sequence[Effects], effects: Sequence[Effects]) -> BenchmarkTotal | None:
    """The sum over the cells of one benchmark that can be judged as measured, too."""
    judged = {
        (one.model, projection)
        for one in measured
        for projection, counts in zip(one.projections, one.can_be_judged, strict=True)
        if counts
    }
    counted = [
        one.can_be_judged & [(one.model, projection) in judged for projection in one.projections]
        for one in effects
    ]
    return benchmark_total(effects, counted)


def _annotate(figures: _Figures, claim: Claim, model: str, values: _Values) -> None:
    """Note how far lengths and losses of one cell overlap, and how much is padding."""
    first, second = sorted(claim.terms, key=lambda term: -term.coefficient)
    styles = (first.style, second.style)
    for control, covariate in _COVARIATES.items():
        if (model, covariate) in values:
            x = log_ratio_of(claim, model, values, covariate)
            what = "lengths" if control == "regression" else "losses"
            figures[control].notes[overlap_text(x[np.isfinite(x)], styles, what)] = None
    if "none" in styles and matched_styles(styles) is not None:
        curves = values[model, "response_tokens"].curves
        shares = answer_shares(_tokens(values, model), curves, first.relevance)
        figures["matched"].answer_shares += [shares] if shares.size else []


def _rows(claim: Claim, figures: _Figures) -> Iterator[dict[str, Any]]:
    combined = {
        control: combine_totals(figures[control].totals, claim.region)
        for control in LENGTH_CONTROLS
    }
    for control, row in combined.items():
        figure = figures[control]
        shares = figure.answer_shares if row["effect"] is not None else []
        yield {
            "claim": claim.claim,
            "control": control,
            **{name: _ratio(row[name]) for name in ("effect", "low", "high")},
            "items": row["items"],
            "cells": sum(total.cells for total in figure.totals),
            "outcome": outcome_of(claim, combined["measured"], row),
            "answer_share": float(np.mean([s.mean() for s in shares])) if shares else None,
            "how": _how(claim, control, figure, row["effect"] is not None),
        }


def _ratio(log_ratio: float | None) -> float | None:
    return None if log_ratio is None else float(np.exp(log_ratio))


def _how(claim: Claim, control: str, figure: _Figure, known: bool) -> str:
    """How a figure was computed, or why it is missing."""
    if control in _POWERS and claim.statistic not in SIZES:
        return f"{claim.statistic} does not change with the scale of the loss"
    if control == "matched":
        variants = matched_styles(_styles(claim))
        if variants is None:
            return "there are no variants of these styles with equal length"
        if not known:
            made = [style for style in variants if style not in REASONING_STYLES]
            return f"the study has too few responses of {' or '.join(made)}"
        shares = figure.answer_shares
        return answer_share_text(np.concatenate(shares)) if shares else "variants of equal length"
    if control in _COVARIATES:
        return _overlaps_in(figure, "lengths" if control == "regression" else "losses", known)
    return {
        "measured": "the gradient of the mean loss",
        "summed_loss": "the gradient of the summed loss: × response tokens",
        "per_sqrt_token": "the gradient of the mean loss × √response tokens",
    }[control]


def _overlaps_in(figure: _Figure, what: str, known: bool) -> str:
    notes = list(figure.notes)
    if len(notes) == 1:
        return notes[0]
    if not known:
        return f"{what} do not overlap"
    return f"{what} overlap in {sum(total.cells for total in figure.totals)} cells"
