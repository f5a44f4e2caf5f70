"""Claims measured on the models of one benchmark, all of them on the same resamples of its items.

An effect's interval covers every ratio between the least and the most that noise leaves open (see
gradpipe/claims/measures.py) beside the error of sampling, as bias-aware intervals do (Armstrong and
Kolesár 2018).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gradpipe.claims.bootstrap import Replicates, replicates, seed_of
from gradpipe.claims.contrasts import Claim, Quantity, Role, Segment
from gradpipe.claims.measures import ESTIMATES, Measure
from gradpipe.claims.values import Array, CellValues, mean_curves

#: The share of a MAD that must be left when all that may be noise is taken from it. Below that the
#: noise is too much of it to be known well itself, and the least that the MAD may be is taken as 0.
LEAST_SIGNAL = 0.75

#: CellValues by (model, statistic).
Cells = Mapping[tuple[str, str], CellValues]
#: What to take of which curve.
_Wanted = tuple[tuple[str, str], Quantity, Segment]


@dataclass(frozen=True)
class Bound:
    """One end of where a log ratio may lie: [projection], and how resamples of the items move it.

    ``resampled`` is [resample, projection]; only its spread has a meaning.
    """

    value: Array
    resampled: Array


@dataclass(frozen=True)
class Effects:
    """A claim's log ratio for one model, or pair of twins, on one benchmark.

    Arrays are [projection]. But for the error of sampling the log ratio lies between ``least`` and
    ``most``. ``items`` counts those that have every curve that the claim compares; no others are
    used.
    """

    model: str
    against_model: str | None
    benchmark: str
    projections: tuple[str, ...]
    effect: Array
    least: Bound
    most: Bound
    items: NDArray[np.int64]
    #: Whether every curve has the quantity, and not 0 of it.
    defined: NDArray[np.bool_]


@dataclass
class _Block:
    """Values [item, curve, projection, layer] over the items that some claims may use."""

    values: Array
    curves: tuple[tuple[str, str], ...]
    measures: dict[_Wanted, Measure] = field(default_factory=dict)
    #: The columns of the replicates in which each measure comes out, its estimates in turn.
    columns: dict[_Wanted, slice] = field(default_factory=dict)

    def want(self, wanted: _Wanted) -> None:
        """Adds a measure, if it is not there."""
        curve, name, segment = wanted
        if wanted not in self.measures:
            of_curve = self.values[:, self.curves.index(curve)]
            self.measures[wanted] = Measure(of_curve, name, segment)

    def measured(self, counts: Array) -> list[Array]:
        """Each measure as [resample, estimate · projection]."""
        means = mean_curves(self.values, counts)
        return [
            measure(means[:, self.curves.index(curve)]).reshape(len(counts), -1)
            for (curve, _, _), measure in self.measures.items()
        ]


@dataclass(frozen=True)
class _Comparison:
    """A claim about one model, or pair of twins, and where each of its terms is measured."""

    claim: Claim
    models: tuple[str, str | None]
    benchmark: str
    projections: tuple[str, ...]
    items: NDArray[np.int64]
    terms: tuple[tuple[_Block, _Wanted], ...]


def measure(
    claims: Sequence[Claim],
    cells: Cells,
    twins: Sequence[tuple[str, str]],
    seed: int,
    resamples: int,
) -> list[list[Effects]]:
    """Each claim's effects on one benchmark, for every model or pair of twins that has its curves.

    ``cells`` are those of one benchmark, ``twins`` pairs of (base, tuned). The resamples depend on
    ``seed``, the benchmark's name and the ids of its items.
    """
    items = sorted({item for cell in cells.values() for item in cell.items})
    aligned = {key: _aligned(cell, items) for key, cell in cells.items()}
    blocks: dict[tuple[object, ...], _Block] = {}
    comparisons = [
        [
            _comparison(claim, roles, aligned, blocks)
            for roles in _roles(claim, cells, twins)
            if all((term.style, term.relevance) in roles[term.role].curves for term in claim.terms)
        ]
        for claim in claims
    ]
    if not blocks:
        return [[] for _ in claims]
    width = 0
    for block in blocks.values():
        for wanted in block.measures:
            start, width = width, width + len(ESTIMATES) * block.values.shape[2]
            block.columns[wanted] = slice(start, width)

    def measured(counts: Array) -> Array:
        return np.concatenate([q for b in blocks.values() for q in b.measured(counts)], axis=1)

    benchmark = next(iter(cells.values())).benchmark
    drawn = replicates(measured, len(items), seed_of(seed, "items", benchmark), resamples)
    return [[_effects(one, drawn) for one in of_claim] for of_claim in comparisons]


def _aligned(cell: CellValues, items: Sequence[str]) -> Array:
    """A cell's values with a row for each of ``items``."""
    if cell.items == tuple(items):
        return cell.values
    places = {item: place for place, item in enumerate(items)}
    values = np.full((len(items), *cell.values.shape[1:]), np.nan)
    values[[places[item] for item in cell.items]] = cell.values
    return values


def _roles(
    claim: Claim, cells: Cells, twins: Sequence[tuple[str, str]]
) -> list[dict[Role, CellValues]]:
    """Whose curves play which role: each model for itself, or each pair of twins."""
    own = {
        model: cell for (model, statistic), cell in cells.items() if statistic == claim.statistic
    }
    benchmarks = {cell.benchmark.lower() for cell in own.values()}
    if claim.benchmark is not None and benchmarks != {claim.benchmark.lower()}:
        return []
    if not claim.of_twins:
        return [{"self": own[model]} for model in sorted(own)]
    return [
        {"base": own[base], "tuned": own[tuned]}
        for base, tuned in sorted(twins)
        if base in own and tuned in own
    ]


def _comparison(
    claim: Claim,
    roles: dict[Role, CellValues],
    aligned: Mapping[tuple[str, str], Array],
    blocks: dict[tuple[object, ...], _Block],
) -> _Comparison:
    """Where the claim's terms are measured; blocks that it needs are added to ``blocks``."""
    cells = list(roles.values())
    projections = tuple(p for p in cells[0].projections if all(p in c.projections for c in cells))

    def values(cell: CellValues) -> Array:
        kept = [cell.projections.index(projection) for projection in projections]
        return aligned[cell.model, claim.statistic][:, :, kept]

    complete = np.ones((len(aligned[cells[0].model, claim.statistic]), len(projections)), bool)
    for term in claim.terms:
        place = roles[term.role].curves.index((term.style, term.relevance))
        complete &= np.isfinite(values(roles[term.role])[:, place]).any(-1)
    terms = []
    for term in claim.terms:
        cell = roles[term.role]
        key = (cell.model, claim.statistic, projections, complete.tobytes())
        if key not in blocks:
            usable = np.where(complete[:, None, :, None], values(cell), np.nan)
            blocks[key] = _Block(usable, cell.curves)
        wanted: _Wanted = ((term.style, term.relevance), claim.quantity, claim.segment)
        blocks[key].want(wanted)
        terms.append((blocks[key], wanted))
    models = (
        (roles["tuned"].model, roles["base"].model) if claim.of_twins else (cells[0].model, None)
    )
    return _Comparison(
        claim, models, cells[0].benchmark, projections, complete.sum(0), tuple(terms)
    )


# Two measures of zero have logs of minus infinity, and no difference.
@np.errstate(invalid="ignore")
def _effects(comparison: _Comparison, drawn: Replicates) -> Effects:
    projections = comparison.items.size
    effect = np.zeros(projections)
    defined = np.ones(projections, bool)
    ends = [(effect, np.zeros((len(drawn.resampled), projections))) for _ in range(2)]
    for term, (block, wanted) in zip(comparison.claim.terms, comparison.terms, strict=True):
        columns = block.columns[wanted]
        observed = drawn.observed[columns].reshape(-1, projections)
        resampled = drawn.resampled[:, columns].reshape(-1, *observed.shape)
        logs, moves = _logs(observed), _moves(observed, resampled)
        effect = effect + term.coefficient * logs[ESTIMATES.index("likely")]
        defined &= np.isfinite(logs[ESTIMATES.index("most")])
        least_first = ("least", "most") if term.coefficient > 0 else ("most", "least")
        for end, name in enumerate(least_first):
            place, (value, moved) = ESTIMATES.index(name), ends[end]
            value = value + term.coefficient * logs[place]
            ends[end] = value, moved + term.coefficient * moves[:, place]
    least, most = (Bound(*end) for end in ends)
    return Effects(
        *comparison.models,
        comparison.benchmark,
        comparison.projections,
        effect,
        least,
        most,
        comparison.items,
        defined,
    )


def _logs(observed: Array) -> Array:
    """The logs of ESTIMATES [3, projection]: −∞ for what may be nothing."""
    kept = np.where(observed < 0, 0, observed)
    least, most = ESTIMATES.index("least"), ESTIMATES.index("most")
    kept[least] = np.where(kept[least] < LEAST_SIGNAL * kept[most], 0, kept[least])
    with np.errstate(divide="ignore"):
        return np.log(kept)


def _moves(observed: Array, resampled: Array) -> Array:
    """How resamples move the logs, taken linearly: what may be noise alone can fall below 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(observed > 0, resampled / observed, 0.0)
