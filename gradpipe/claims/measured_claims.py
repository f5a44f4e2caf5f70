"""Claims that are more than a contrast of curves, and the effects of claims of every kind."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from gradpipe.claims.contrasts import Claim
from gradpipe.claims.effects import Cells, Effects, measure_effects


@dataclass(frozen=True, kw_only=True)
class MeasuredClaim(Claim, ABC):
    """A claim that measures its own effects; its ``terms`` name the styles that it is about."""

    @property
    def ratio(self) -> None:
        """None: what is measured is not the ratio of two curves; the statement says what it is."""
        return None

    @abstractmethod
    def measure(self, cells: Cells, seed: int, resamples: int) -> list[Effects]:
        """The claim's effects on one benchmark, none if ``cells`` do not have its curves."""


def measure_all(
    claims: Sequence[Claim],
    cells: Cells,
    model_pairs: Sequence[tuple[str, str]],
    seed: int,
    resamples: int,
) -> list[list[Effects]]:
    """Each claim's effects on one benchmark: see ``measure_effects``, for claims of every kind."""
    contrasts = [claim for claim in claims if not isinstance(claim, MeasuredClaim)]
    of_contrasts = iter(measure_effects(contrasts, cells, model_pairs, seed, resamples))
    return [
        claim.measure(cells, seed, resamples)
        if isinstance(claim, MeasuredClaim)
        else next(of_contrasts)
        for claim in claims
    ]
