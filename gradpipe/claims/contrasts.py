"""Claims as contrasts: what is set against what, and where the ratio must lie for it to hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log
from typing import Literal

import polars as pl

from gradpipe.claims.schemas import CLAIM_SCHEMA

#: "mad": the MAD of a mean curve. "mean": its geometric mean over layers, so that the ratio of two
#: is the typical ratio layer by layer, and no layer with a large norm decides alone.
Quantity = Literal["mad", "mean"]
Segment = Literal["all", "early", "mid", "last"]
#: Whose curve a term takes: the model's own, or that of a tuned model and its pre-trained twin.
Role = Literal["self", "tuned", "base"]
#: What is claimed of the ratio: above the margin; between 1 / margin and margin; below the margin.
Test = Literal["greater", "within", "not_greater"]


@dataclass(frozen=True)
class Term:
    """One curve of a contrast, and the power to which its quantity enters the ratio."""

    coefficient: int
    style: str
    relevance: str = "correct"
    role: Role = "self"


@dataclass(frozen=True)
class Claim:
    """A statement about Σ cᵢ · log q(styleᵢ, relevanceᵢ, roleᵢ), the log of a ratio.

    q is the ``quantity`` of a ``statistic``'s mean curve inside a ``segment`` of layers. The claim
    holds where the ratio lies in ``region``; it is contradicted where the ratio lies outside.
    ``benchmark`` limits it to one. ``claim`` is its name; parts of one claim share ``group``.
    """

    claim: str
    group: str
    title: str
    statement: str
    source: str
    terms: tuple[Term, ...]
    test: Test = "greater"
    margin: float = 1.0
    statistic: str = "nuclear_norm"
    quantity: Quantity = "mean"
    segment: Segment = "all"
    benchmark: str | None = None

    @property
    def of_twins(self) -> bool:
        """Whether it sets a tuned model against its pre-trained twin."""
        return any(term.role != "self" for term in self.terms)

    @property
    def region(self) -> tuple[float, float]:
        """Where the log ratio lies if the claim holds: an open interval."""
        margin = log(self.margin)
        return {
            "greater": (margin, inf),
            "within": (-margin, margin),
            "not_greater": (-inf, margin),
        }[self.test]


def claims_table(claims: Sequence[Claim]) -> pl.DataFrame:
    """What is claimed, a row a claim: a table of CLAIM_SCHEMA."""
    return pl.DataFrame(
        [[getattr(claim, column) for column in CLAIM_SCHEMA] for claim in claims],
        schema=CLAIM_SCHEMA,
        orient="row",
    )
