"""Claims as contrasts: which curves are compared, and where their ratio must lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log
from typing import Literal

import polars as pl

from gradpipe.claims.schemas import CLAIM_SCHEMA

#: "mad": the MAD of a mean curve. "relative_mad": its MAD divided by its mean over layers, and
#: "log_mad": the MAD of its logs, neither of which depends on the curve's size. "mean": its
#: geometric mean over layers, so that the ratio of two is the typical ratio of a layer, and no
#: layer with a large norm dominates. "layers": the curve itself; the claim is about the ratio at
#: each layer (see gradpipe/claims/layers.py).
Quantity = Literal["mad", "relative_mad", "log_mad", "mean", "layers"]
Segment = Literal["all", "early", "mid", "last"]
#: Which model's curve a term takes: the only one, or one of a tuned model and its base.
ModelRole = Literal["self", "tuned", "base"]
#: What is claimed of the ratio: above the margin, between 1 / margin and margin, or below it.
ClaimTest = Literal["greater", "within", "not_greater"]


@dataclass(frozen=True)
class Term:
    """One curve of a contrast, and the exponent of its quantity in the ratio.

    ``segment`` are its layers if they differ from those of the claim.
    """

    coefficient: int
    style: str
    relevance: str = "correct"
    role: ModelRole = "self"
    segment: Segment | None = None


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement about Σ cᵢ · log q(styleᵢ, relevanceᵢ, roleᵢ), the log of a ratio.

    q is the ``quantity`` of a ``statistic``'s mean curve inside a ``segment`` of layers. The claim
    holds if the log ratio lies in ``region``, and is contradicted if it lies outside. ``benchmark``
    limits it to one. ``claim`` is its name; the parts of a claim share ``group`` and ``title``.
    ``scale_free`` names the claim that states the same of a quantity without the curve's size.
    A claim whose quantity is "layers" has the test "within".
    """

    claim: str
    group: str
    title: str
    statement: str
    source: str
    terms: tuple[Term, ...]
    test: ClaimTest = "greater"
    margin: float = 1.0
    statistic: str = "nuclear_norm"
    quantity: Quantity = "mean"
    segment: Segment = "all"
    benchmark: str | None = None
    scale_free: str | None = None

    @property
    def compares_models(self) -> bool:
        """Whether the claim compares a tuned model with its pre-trained base."""
        return any(term.role != "self" for term in self.terms)

    @property
    def statistics(self) -> tuple[str, ...]:
        """The columns of a statistics table that the claim is about."""
        return (self.statistic,)

    @property
    def ratio(self) -> str | None:
        """What is divided by what, such as "MAD of nuclear norm: none / detailed".

        None if the ratio is one of more than two curves.
        """
        if len(self.terms) != 2:
            return None
        over, under = sorted(self.terms, key=lambda term: -term.coefficient)
        sides = [_named_apart(term, other) for term, other in ((over, under), (under, over))]
        where = _SEGMENT_NAMES[over.segment or self.segment]
        if self.quantity == "layers":
            where = " of each layer"
        shared = f", {over.style.replace('_', ' ')}" if over.style == under.style else ""
        measured = f"{_QUANTITY_NAMES[self.quantity]}{self.statistic.replace('_', ' ')}"
        return f"{measured}{where}{shared}: {' / '.join(sides)}"

    @property
    def region(self) -> tuple[float, float]:
        """The open interval in which the log ratio lies if the claim holds."""
        margin = log(self.margin)
        return {
            "greater": (margin, inf),
            "within": (-margin, margin),
            "not_greater": (-inf, margin),
        }[self.test]


_QUANTITY_NAMES: dict[Quantity, str] = {
    "mad": "MAD of ",
    "relative_mad": "MAD / mean of ",
    "log_mad": "MAD of the log of ",
    "mean": "",
    "layers": "",
}
_SEGMENT_NAMES: dict[Segment, str] = {
    "all": "",
    "early": " in early layers",
    "mid": " in middle layers",
    "last": " in last layers",
}


def _named_apart(term: Term, other: Term) -> str:
    """The style, relevance and role of a term, as far as the other one has others."""
    names = (
        (term.style.replace("_", " "), term.style != other.style),
        (term.relevance, term.relevance != other.relevance),
        (term.role, term.role != other.role),
    )
    return " ".join(name for name, differs in names if differs) or term.style


def claims_table(claims: Sequence[Claim]) -> pl.DataFrame:
    """The claims as a table of CLAIM_SCHEMA, one row per claim."""
    rows = [{column: getattr(claim, column) for column in CLAIM_SCHEMA} for claim in claims]
    return pl.DataFrame(rows, schema=CLAIM_SCHEMA)
