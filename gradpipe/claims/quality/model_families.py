"""Whether models of one family have more similar curves across sizes than models of two families.

The shape of a curve is its log, resampled to relative depth and centered on its mean, so that
models of any depth and any size of gradients are comparable. The distance of two models is the root
mean square difference of their shapes, over depths and styles. A family's effect is the ratio of
the mean distance between its models and those of other families to the mean distance between its
own models of different sizes. Noise makes all distances larger, and so the ratio closer to 1.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from gradpipe.claims.effects import Cells, Effects
from gradpipe.claims.measured_claims import MeasuredClaim
from gradpipe.claims.quality.two_samples import (
    Comparison,
    ItemSample,
    effects_of,
    models_with,
    samples_of,
)
from gradpipe.claims.values import Array, CellValues, mean_curves

#: Depths at which curves are compared, from the first layer (0) to the last (1).
DEPTHS = np.linspace(0, 1, 33)

_SIZE = re.compile(r"(?i)(?<![a-z\d.])(\d+(?:\.\d+)?)\s*([mb])(?![a-z])")
_NAME = re.compile(r"[a-z]+")


@dataclass(frozen=True, kw_only=True)
class FamilyClaim(MeasuredClaim):
    """The claim that curves of a model family agree across sizes, more than between families."""

    def measure(self, cells: Cells, seed: int, resamples: int) -> list[Effects]:
        """One effect per family of two or more sizes; ``model`` is its name.

        Empty unless the study also has a model of another family.
        """
        samples = samples_of(self, cells, seed, resamples)
        own = {model: of_model[0] for model, of_model in models_with(self, cells)}
        pairs = _pairs(sorted(own))
        if not samples or not pairs:
            return []
        measured = list(own.values())
        shared = tuple(
            name
            for name in measured[0].projections
            if all(name in cell.projections for cell in measured)
        )
        shapes = {model: _shapes(samples, cell, shared) for model, cell in own.items()}
        items = _fewest(samples, measured, shared)
        return [
            effects_of(
                _compared(shapes, within, between, items),
                model=family,
                benchmark=measured[0].benchmark,
                projections=shared,
            )
            for family, (within, between) in pairs.items()
        ]


def family_of(model: str) -> str:
    """The family of a model by its name: ``qwen`` for ``Qwen/Qwen2.5-7B``."""
    name = model.rsplit("/", 1)[-1].lower().removeprefix("meta-")
    found = _NAME.match(name)
    return found.group() if found else name


def size_of(model: str) -> float | None:
    """The number of parameters, in millions, that a model's name contains; None without one."""
    found = _SIZE.search(model.rsplit("/", 1)[-1].replace("-", " ").replace("_", " "))
    return float(found[1]) * (1000 if found[2].lower() == "b" else 1) if found else None


_Pairs = list[tuple[str, str]]


def _pairs(models: Sequence[str]) -> dict[str, tuple[_Pairs, _Pairs]]:
    """For each family of several sizes, pairs of its own models, and with models of others."""
    families: dict[str, tuple[_Pairs, _Pairs]] = {}
    for one, other in combinations(models, 2):
        if family_of(one) == family_of(other):
            if None not in (size_of(one), size_of(other)) and size_of(one) != size_of(other):
                families.setdefault(family_of(one), ([], []))[0].append((one, other))
        else:
            for family in (family_of(one), family_of(other)):
                families.setdefault(family, ([], []))[1].append((one, other))
    return {family: pairs for family, pairs in sorted(families.items()) if all(pairs)}


def _shapes(samples: Sequence[ItemSample], cell: CellValues, projections: Sequence[str]) -> Array:
    """Shapes of the mean curves, [1 + resample, projection, style · depth]; first all items'."""
    kept = [cell.projections.index(name) for name in projections]
    parts = []
    for sample in samples:
        values = sample.values(cell)[:, kept]
        counts = np.concatenate([np.ones((1, len(sample.items))), sample.counts])
        parts.append(_shape(mean_curves(values, counts)))
    return np.concatenate(parts, axis=-1)


def _shape(curves: Array) -> Array:
    """[resample, projection, layer] → [resample, projection, depth]."""
    shapes = np.full((*curves.shape[:2], len(DEPTHS)), np.nan)
    for projection in range(curves.shape[1]):
        layers = np.flatnonzero(np.isfinite(curves[:, projection]).any(0))
        if layers.size > 1:
            with np.errstate(invalid="ignore", divide="ignore"):
                logs = np.log(curves[:, projection, layers])
            # Linear interpolation between the layers around each depth.
            place = DEPTHS * (len(layers) - 1)
            before = np.minimum(place.astype(int), len(layers) - 2)
            share = place - before
            at_depths = logs[:, before] * (1 - share) + logs[:, before + 1] * share
            shapes[:, projection] = at_depths - at_depths.mean(-1, keepdims=True)
    return shapes


def _fewest(
    samples: Sequence[ItemSample], cells: Sequence[CellValues], projections: Sequence[str]
) -> NDArray[np.int64]:
    counts = []
    for cell in cells:
        kept = [cell.projections.index(name) for name in projections]
        for sample in samples:
            counts.append(np.isfinite(sample.values(cell)[:, kept]).any(-1).sum(0))
    fewest: NDArray[np.int64] = np.minimum.reduce(counts)
    return fewest


def _compared(
    shapes: Mapping[str, Array], within: _Pairs, between: _Pairs, items: NDArray[np.int64]
) -> Comparison:
    def distance(pairs: _Pairs) -> Array:
        squares = [((shapes[one] - shapes[other]) ** 2).mean(-1) for one, other in pairs]
        return np.asarray(np.sqrt(squares).mean(0))

    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.log(distance(between)) - np.log(distance(within))
    return Comparison(ratios[0], ratios[1:], items)
