"""The effects of claims on one benchmark, all measured on the same resamples of its items.

An effect's interval covers every ratio between the bounds that noise and skewed items leave (see
``measures`` and ``inference.skew``) plus the sampling error, as bias-aware intervals do (Armstrong
and Kolesár 2018).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradpipe.claims.contrasts import Claim, ModelRole
from gradpipe.claims.inference.bootstrap import MIN_ITEMS, Replicates, derive_seed
from gradpipe.claims.inference.samples import CurveBlock, PairedSample, Wanted
from gradpipe.claims.layers import LayerRatios, combine_curves
from gradpipe.claims.measures import NOISE_BOUNDS, logs_of_bounds, moves_of_logs
from gradpipe.claims.pairing import Pairing, PairingName, pairings
from gradpipe.claims.quality.unpaired import independent_items, usable_items
from gradpipe.claims.values import Array, CellValues

#: CellValues by (model, statistic).
Cells = Mapping[tuple[str, str], CellValues]


@dataclass(frozen=True)
class Bound:
    """A bound of a log ratio, [projection], and its changes under resamples of the items.

    ``resampled`` is [resample, projection]; only its spread is meaningful.
    """

    value: Array
    resampled: Array


@dataclass(frozen=True, kw_only=True)
class Effects:
    """A claim's log ratio for one model, or pair of base and tuned model, on one benchmark.

    Arrays are [projection]. Apart from sampling error the log ratio lies between ``lower`` and
    ``upper``. ``items`` counts the items that have every curve that the claim compares; only these
    are used. Paired by response, an item stands for its response (see gradpipe/claims/pairing.py).
    Unpaired, they are the items of the smaller side (see ``quality.unpaired``). ``units``
    counts what is resampled together, with ``degrees_of_freedom``; ``effective_units`` counts large
    ones more than small ones (see gradpipe/claims/inference/skew.py).
    """

    model: str
    against_model: str | None
    benchmark: str
    projections: tuple[str, ...]
    effect: Array
    lower: Bound
    upper: Bound
    items: NDArray[np.int64]
    units: NDArray[np.int64]
    effective_units: Array
    degrees_of_freedom: Array
    pairing: PairingName
    #: Whether the quantity of every curve is defined and not 0.
    defined: NDArray[np.bool_]
    #: The ratios of all layers, for a claim about each of them. The effect and its bounds are then
    #: those of the layer whose ratio is farthest from 1.
    layers: LayerRatios | None = None

    @property
    def can_be_judged(self) -> NDArray[np.bool_]:
        """Which projections have enough items, and a value that is more than noise."""
        finite = np.isfinite(self.lower.value) & np.isfinite(self.upper.value)
        return finite & (self.items >= MIN_ITEMS)


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    """A claim about one model, or pair of models, and where each of its terms is measured."""

    claim: Claim
    model: str
    against_model: str | None
    benchmark: str
    projections: tuple[str, ...]
    #: Whether an item is used, [item, projection]: it has every curve, or any if it has a side.
    complete: NDArray[np.bool_]
    #: How many items have each curve, [term, projection], if no item can have two of them.
    sides: NDArray[np.int64] | None
    terms: tuple[tuple[CurveBlock, Wanted], ...]


def measure_effects(
    claims: Sequence[Claim],
    cells: Cells,
    model_pairs: Sequence[tuple[str, str]],
    seed: int,
    resamples: int,
) -> list[list[Effects]]:
    """Each claim's effects on one benchmark, for every model or pair of models with its curves.

    ``cells`` are those of one benchmark, ``model_pairs`` are (base, tuned). The resamples depend on
    ``seed``, the benchmark's name and the number of its items, or of chains of its donors.
    """
    items = sorted({item for cell in cells.values() for item in cell.items})
    aligned = {key: _aligned(cell, items) for key, cell in cells.items()}
    paired = pairings(claims, cells.values(), items)
    samples = {id(pairing): _sample(pairing, cells, aligned) for pairing in paired}
    comparisons = [
        [
            _comparison(claim, roles, samples[id(pairing)])
            for roles in _roles(claim, cells, model_pairs)
            if all((term.style, term.relevance) in roles[term.role].curves for term in claim.terms)
        ]
        for claim, pairing in zip(claims, paired, strict=True)
    ]
    benchmark = next(iter(cell.benchmark for cell in cells.values()), "")
    drawn = {
        key: sample.draw(derive_seed(seed, "items", benchmark), resamples)
        for key, sample in samples.items()
        if sample.blocks
    }
    return [
        [
            (_layer_effects if one.claim.quantity == "layers" else _effects)(
                one, pairing, drawn[id(pairing)]
            )
            for one in by_model
        ]
        for by_model, pairing in zip(comparisons, paired, strict=True)
    ]


def _sample(
    pairing: Pairing, cells: Cells, aligned: Mapping[tuple[str, str], Array]
) -> PairedSample:
    return PairedSample(
        pairing,
        {key: pairing.arrange(values, cells[key].curves) for key, values in aligned.items()},
    )


def _aligned(cell: CellValues, items: Sequence[str]) -> Array:
    """A cell's values with one row per item of ``items``, NaN for items that it does not have."""
    if cell.items == tuple(items):
        return cell.values
    rows = {item: row for row, item in enumerate(items)}
    values = np.full((len(items), *cell.values.shape[1:]), np.nan)
    values[[rows[item] for item in cell.items]] = cell.values
    return values


def _roles(
    claim: Claim, cells: Cells, model_pairs: Sequence[tuple[str, str]]
) -> list[dict[ModelRole, CellValues]]:
    """The cells in each role of the claim: for each model, or for each pair of models."""
    own = {
        model: cell for (model, statistic), cell in cells.items() if statistic == claim.statistic
    }
    benchmarks = {cell.benchmark.lower() for cell in own.values()}
    if claim.benchmark is not None and benchmarks != {claim.benchmark.lower()}:
        return []
    if not claim.compares_models:
        return [{"self": own[model]} for model in sorted(own)]
    return [
        {"base": own[base], "tuned": own[tuned]}
        for base, tuned in sorted(model_pairs)
        if base in own and tuned in own
        if set(own[base].projections) & set(own[tuned].projections)
    ]


def _comparison(
    claim: Claim,
    roles: dict[ModelRole, CellValues],
    sample: PairedSample,
) -> _Comparison:
    """Where the claim's terms are measured; adds the blocks that it needs to the sample."""
    aligned, blocks = sample.values, sample.blocks
    cells = list(roles.values())
    projections = tuple(p for p in cells[0].projections if all(p in c.projections for c in cells))

    def values(cell: CellValues) -> Array:
        kept = [cell.projections.index(projection) for projection in projections]
        return aligned[cell.model, claim.statistic][:, :, kept]

    present = []
    for term in claim.terms:
        curve = roles[term.role].curves.index((term.style, term.relevance))
        present.append(np.isfinite(values(roles[term.role])[:, curve]).any(-1))
    complete, sides = usable_items(claim, np.array(present))
    terms = []
    for term in claim.terms:
        cell = roles[term.role]
        key = (cell.model, claim.statistic, projections, complete.tobytes())
        if key not in blocks:
            usable = np.where(complete[:, None, :, None], values(cell), np.nan)
            blocks[key] = CurveBlock(usable, cell.curves)
        segment = term.segment or claim.segment
        wanted: Wanted = ((term.style, term.relevance), claim.quantity, segment)
        blocks[key].want(wanted)
        terms.append((blocks[key], wanted))
    pair = claim.compares_models
    return _Comparison(
        claim=claim,
        model=roles["tuned"].model if pair else cells[0].model,
        against_model=roles["base"].model if pair else None,
        benchmark=cells[0].benchmark,
        projections=projections,
        complete=complete,
        sides=sides,
        terms=tuple(terms),
    )


# Two quantities of zero have logs of minus infinity, and no difference.
@np.errstate(invalid="ignore")
def _effects(comparison: _Comparison, pairing: Pairing, drawn: Replicates) -> Effects:
    projections = len(comparison.projections)
    effect = np.zeros(projections)
    defined = np.ones(projections, bool)
    ends = [(effect, np.zeros((len(drawn.resampled), projections))) for _ in range(2)]
    for term, (block, wanted) in zip(comparison.claim.terms, comparison.terms, strict=True):
        columns = block.columns[wanted]
        observed = drawn.observed[columns].reshape(-1, projections)
        resampled = drawn.resampled[:, columns].reshape(-1, *observed.shape)
        logs, moves = logs_of_bounds(observed), moves_of_logs(observed, resampled)
        effect = effect + term.coefficient * logs[NOISE_BOUNDS.index("likely")]
        defined &= np.isfinite(logs[NOISE_BOUNDS.index("upper")])
        lower_first = ("lower", "upper") if term.coefficient > 0 else ("upper", "lower")
        for end, name in enumerate(lower_first):
            bound, (value, moved) = NOISE_BOUNDS.index(name), ends[end]
            value = value + term.coefficient * logs[bound]
            ends[end] = value, moved + term.coefficient * moves[:, bound]
    gap = sum(
        (
            term.coefficient * block.quantities[wanted].gap
            for term, (block, wanted) in zip(comparison.claim.terms, comparison.terms, strict=True)
        ),
        start=np.zeros(projections),
    )
    lower, upper = (
        Bound(value + shift, moved)
        for (value, moved), shift in zip(
            ends, (np.minimum(gap, 0), np.maximum(gap, 0)), strict=True
        )
    )
    return Effects(
        **_described(comparison, pairing),
        effect=effect,
        lower=lower,
        upper=upper,
        defined=defined,
    )


def _layer_effects(comparison: _Comparison, pairing: Pairing, drawn: Replicates) -> Effects:
    """The ratios of all layers, and as the effect that of the layer where it is farthest from 1."""
    parts = []
    for term, (block, wanted) in zip(comparison.claim.terms, comparison.terms, strict=True):
        columns = block.columns[wanted]
        observed = drawn.observed[columns].reshape(len(comparison.projections), -1)
        resampled = drawn.resampled[:, columns].reshape(-1, *observed.shape)
        gap = block.quantities[wanted].gap
        parts.append((term.coefficient, observed, resampled, gap))
    ratios = combine_curves(parts)
    effect, moved = ratios.farthest()
    bound = Bound(effect, moved)
    return Effects(
        **_described(comparison, pairing),
        effect=effect,
        lower=bound,
        upper=bound,
        defined=np.isfinite(effect),
        layers=ratios,
    )


def _described(comparison: _Comparison, pairing: Pairing) -> dict[str, Any]:
    """What is compared, and how many items and units of them: fields of Effects."""
    levels = [block.quantities[wanted].levels for block, wanted in comparison.terms]
    units, effective, free = pairing.independent(comparison.complete, levels)
    items, name = comparison.complete.sum(0), pairing.name
    if comparison.sides is not None:
        (items, of_sides), name = independent_items(comparison.sides), "unpaired"
        free = np.minimum(free, of_sides)
    return {
        "model": comparison.model,
        "against_model": comparison.against_model,
        "benchmark": comparison.benchmark,
        "projections": comparison.projections,
        "items": items,
        "units": units,
        "effective_units": effective,
        "degrees_of_freedom": free,
        "pairing": name,
    }
