"""Two samples of different items, each resampled by itself, and the effects that follow from them.

Every model of a benchmark has the same resamples, so that models stay comparable.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradpipe.claims.contrasts import Claim
from gradpipe.claims.effects import Bound, Cells, Effects
from gradpipe.claims.inference.bootstrap import degrees_of_freedom, derive_seed
from gradpipe.claims.values import Array, CellValues


@dataclass(frozen=True)
class ItemSample:
    """The items of one style, and how often each is drawn: ``counts`` [resample, item]."""

    style: str
    items: tuple[str, ...]
    counts: Array

    def values(self, cell: CellValues) -> Array:
        """The style's values of a cell, [item, projection, layer]; NaN for a missing example."""
        rows = {item: row for row, item in enumerate(cell.items)}
        curve = cell.curves.index((self.style, "correct"))
        known = [place for place, item in enumerate(self.items) if item in rows]
        values = np.full((len(self.items), *cell.values.shape[2:]), np.nan)
        values[known] = cell.values[[rows[self.items[place]] for place in known], curve]
        return values


@dataclass(frozen=True)
class Comparison:
    """What is known of two samples: a log ratio, its changes under resamples, and a count.

    ``value`` and ``items`` are [projection], ``resampled`` is [resample, projection].
    """

    value: Array
    resampled: Array
    items: NDArray[np.int64]


def samples_of(claim: Claim, cells: Cells, seed: int, resamples: int) -> list[ItemSample]:
    """The samples of the claim's terms, in their order; empty if a style has no examples."""
    samples = []
    for style in dict.fromkeys(term.style for term in claim.terms):
        items: set[str] = set()
        for cell in cells.values():
            if (style, "correct") in cell.curves:
                values = cell.values[:, cell.curves.index((style, "correct"))]
                usable = np.flatnonzero(np.isfinite(values).reshape(len(values), -1).any(axis=1))
                items |= {cell.items[place] for place in usable}
        if not items:
            return []
        benchmark = next(iter(cells.values())).benchmark
        generator = np.random.default_rng(derive_seed(seed, "items", benchmark, style))
        share = np.full(len(items), 1 / len(items))
        counts = generator.multinomial(len(items), share, size=resamples).astype(np.float64)
        samples.append(ItemSample(style, tuple(sorted(items)), counts))
    return samples


def models_with(claim: Claim, cells: Cells) -> Iterator[tuple[str, list[CellValues]]]:
    """Each model that has every column and style of the claim, with the cells of its columns."""
    curves = {(term.style, term.relevance) for term in claim.terms}
    for model in sorted({model for model, _ in cells}):
        own = [cells.get((model, name)) for name in claim.statistics]
        present = [cell for cell in own if cell is not None and curves <= set(cell.curves)]
        if len(present) == len(own):
            yield model, present


def unpaired_effects(
    claim: Claim,
    cells: Cells,
    seed: int,
    resamples: int,
    compare: Callable[[Sequence[ItemSample], Sequence[CellValues]], Comparison],
) -> list[Effects]:
    """The effects of a claim on one benchmark, one per model, from its samples by ``compare``."""
    samples = samples_of(claim, cells, seed, resamples)
    if not samples:
        return []
    return [
        effects_of(
            compare(samples, own),
            model=model,
            benchmark=own[0].benchmark,
            projections=own[0].projections,
        )
        for model, own in models_with(claim, cells)
    ]


def effects_of(
    comparison: Comparison, *, model: str, benchmark: str, projections: tuple[str, ...]
) -> Effects:
    """A comparison as the effects of a claim on one benchmark."""
    bound = Bound(comparison.value, comparison.resampled)
    return Effects(
        model=model,
        against_model=None,
        benchmark=benchmark,
        projections=projections,
        effect=comparison.value,
        lower=bound,
        upper=bound,
        items=comparison.items,
        units=comparison.items,
        effective_units=comparison.items.astype(np.float64),
        degrees_of_freedom=degrees_of_freedom(comparison.items),
        pairing="unpaired",
        defined=np.isfinite(comparison.value),
    )
