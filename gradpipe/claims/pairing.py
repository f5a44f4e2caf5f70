"""Which responses a claim on relevance compares with which, and what is resampled together.

A derangement gives each item another item's correct response, so the irrelevant and the correct
responses are the same texts. Paired by item, an irrelevant response is compared with another text,
whose own size is noise. Paired by response, each text is compared with itself, behind another
instruction and behind its own. If every text is used once, both pairings have the same mean.

The pairs depend on one another: the instruction that a text is given to is also the own instruction
of another text. A value is the sum of an effect of its instruction, one of its text, and its own
error, so along a cycle of the derangement (item, its donor, the donor's donor, …) the effects of
instructions and of texts cancel. What is left is independent between cycles. So whole cycles are
resampled: a cluster bootstrap (Cameron, Gelbach and Miller 2008). If single responses were
resampled, the effects of instructions would widen the interval though they are not in its error.
With few cycles, the spread of their sums is not known well enough. Then they are cut into chains of
at most CHAIN_LENGTH responses, or into single responses. The effects of the instructions at the
ends of a chain do not cancel, and that can only widen the interval.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gradpipe.claims.contrasts import Claim, Term
from gradpipe.claims.inference.bootstrap import MIN_ITEMS
from gradpipe.claims.inference.skew import effective_count
from gradpipe.claims.values import Array, CellValues

#: Paired "item": an item's responses are compared. "response": the uses of a response. "unpaired":
#: responses of different items (see gradpipe/claims/quality/unpaired.py).
PairingName = Literal["item", "response", "unpaired"]
#: The largest number of responses that are resampled together if there are few cycles.
CHAIN_LENGTH = 4
#: With fewer cycles than this, they are cut into chains; with fewer chains than MIN_ITEMS, into
#: single responses. Cycles need more, since their sizes differ more.
MIN_CYCLES = 2 * MIN_ITEMS
#: The kurtosis of an item's value, minus 3, that degrees of freedom allow for.
_EXCESS_KURTOSIS = 2.0

_Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """How the rows of CellValues are paired, and which rows are resampled together.

    ``units`` [row] numbers the unit of each row from 0. ``donors`` has, for each style that is
    paired by response, the row of each item's donor [row], −1 for an item without a donor.
    """

    name: PairingName
    units: _Ints
    donors: Mapping[str, _Ints] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """The number of units."""
        return int(self.units.max(initial=-1)) + 1

    def arrange(self, values: Array, curves: Sequence[tuple[str, str]]) -> Array:
        """Values [item, curve, ...] with irrelevant responses in the rows of their donors.

        A response that several items were given counts once, with the mean of its usable uses. One
        that no item was given has no irrelevant value.
        """
        arranged = values
        for style, donors in self.donors.items():
            if (style, "irrelevant") not in curves:
                continue
            curve = curves.index((style, "irrelevant"))
            given = np.flatnonzero(donors >= 0)
            own = values[given, curve]
            sums, uses = np.zeros((2, *values[:, curve].shape))
            np.add.at(sums, donors[given], np.where(np.isfinite(own), own, 0.0))
            np.add.at(uses, donors[given], np.isfinite(own))
            if arranged is values:
                arranged = values.copy()
            with np.errstate(invalid="ignore"):
                arranged[:, curve] = np.where(uses > 0, sums / uses, np.nan)
        return arranged

    def counts_of_rows(self, counts: Array) -> Array:
        """How often each row is drawn, from how often each unit is: [resample, unit or row]."""
        return counts[:, self.units]

    def independent(
        self, complete: NDArray[np.bool_], levels: Sequence[Array] = ()
    ) -> tuple[_Ints, Array, Array]:
        """The units, how many of them count, and their degrees of freedom: each [projection].

        ``complete`` says which rows are used and ``levels`` how large they are in each curve that
        is compared, both [row, projection]. Of units of unequal sizes m = (Σ size)² / Σ size²
        count (Kish 1965), by the most unequal curve. Sums of n / m rows have the kurtosis
        3 + 2 m / n if single rows have 5, so there are (m − 1) / (1 + m / n) degrees of freedom, at
        least 1/2: see ``degrees_of_freedom``.
        """
        sizes = self._sums(complete)
        rows = sizes.sum(0)
        by_rows = effective_count(sizes)
        effective = np.minimum.reduce(
            [by_rows, *(effective_count(self._sums(np.maximum(one, 0))) for one in levels)]
        )
        share = by_rows / np.maximum(rows, 1)
        free = np.maximum(effective - 1, 1) / (1 + _EXCESS_KURTOSIS / 2 * share)
        return (sizes > 0).sum(0), effective, free

    def _sums(self, of_rows: Array | NDArray[np.bool_]) -> Array:
        """Sums over the rows of each unit: [row, projection] → [unit, projection]."""
        sums = np.zeros((self.count, of_rows.shape[1]))
        np.add.at(sums, self.units, np.nan_to_num(of_rows.astype(np.float64)))
        return sums


def pairings(
    claims: Iterable[Claim], cells: Iterable[CellValues], items: Sequence[str]
) -> list[Pairing]:
    """The pairing of each claim on one benchmark, of which ``items`` are the rows.

    A claim is paired by response if it is a sum of ratios of irrelevant to correct responses of the
    same style, and every irrelevant response of these styles has a donor, the same in all cells.
    Otherwise it is paired by item. Claims with equal pairings share one object.

    With two styles the cycles are those of the first: each style has its own derangement, so the
    effects of instructions on the second do not cancel, which can only widen the interval.
    """
    donors = _shared_donors(cells, items)
    by_item = Pairing(name="item", units=np.arange(len(items)))
    made: dict[tuple[str, ...], Pairing] = {}
    chosen = []
    for claim in claims:
        styles = _compared_with_themselves(claim.terms)
        if not styles or not donors.keys() >= set(styles):
            chosen.append(by_item)
            continue
        if styles not in made:
            made[styles] = Pairing(
                name="response",
                units=_units(donors[styles[0]]),
                donors={style: donors[style] for style in styles},
            )
        chosen.append(made[styles])
    return chosen


def _compared_with_themselves(terms: Sequence[Term]) -> tuple[str, ...]:
    """The styles of a claim of which only irrelevant over correct matters, () for other claims."""
    sums: dict[tuple[str, str], int] = {}
    for term in terms:
        if term.relevance not in ("correct", "irrelevant"):
            return ()
        sums[term.style, term.role] = sums.get((term.style, term.role), 0) + term.coefficient
    compared = any(term.relevance == "irrelevant" for term in terms)
    if not compared or any(sums.values()):
        return ()
    return tuple(dict.fromkeys(term.style for term in terms))


def _shared_donors(cells: Iterable[CellValues], items: Sequence[str]) -> dict[str, _Ints]:
    """The row of each item's donor, by style, where every irrelevant response has one donor."""
    merged: dict[str, dict[str, str | None]] = {}
    unknown = set()
    for cell in cells:
        for style, donors in cell.donors.items():
            known = merged.setdefault(style, {})
            if any(known.get(item, donor) != donor for item, donor in donors.items()):
                unknown.add(style)
            known |= donors
    rows = {item: row for row, item in enumerate(items)}
    return {
        style: np.array([rows.get(donors.get(item) or "", -1) for item in items], dtype=np.int64)
        for style, donors in merged.items()
        if style not in unknown and None not in donors.values()
    }


def _units(donors: _Ints) -> _Ints:
    """The unit of each row: its cycle, or its chain or the row alone if those are too few."""
    chains = chains_of(donors)
    if len(chains) < MIN_CYCLES:
        chains = chains_of(donors, CHAIN_LENGTH)
    if len(chains) < MIN_ITEMS:
        chains = chains_of(donors, 1)
    units = np.empty(len(donors), dtype=np.int64)
    for number, chain in enumerate(chains):
        units[chain] = number
    return units


def chains_of(donors: _Ints, longest: int | None = None) -> list[list[int]]:
    """Rows in chains along their donors: whole cycles, or equal parts of at most ``longest`` rows.

    A row whose donor is missing, or is in another chain already, ends its chain.
    """
    received = set(donors.tolist())
    # Start at the rows that no one was given, so that an open chain is followed from its start.
    starts = sorted(range(len(donors)), key=lambda row: row in received)
    seen: set[int] = set()
    chains: list[list[int]] = []
    for start in starts:
        chain: list[int] = []
        row = start
        while row >= 0 and row not in seen:
            seen.add(row)
            chain.append(row)
            row = int(donors[row])
        if chain:
            parts = np.array_split(chain, -(-len(chain) // (longest or len(chain))))
            chains += [part.tolist() for part in parts]
    return chains
