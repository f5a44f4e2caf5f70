"""The claims of the paper's sequel as data.

Li et al., "How Instruction and Reasoning Data shape Post-Training" (arXiv 2504.10766): high-quality
data, by any of four measures, have gradients with lower nuclear norms and higher effective ranks.
"""

from typing import Literal

from gradpipe.claims.contrasts import Claim, Term
from gradpipe.claims.length.matched_items import EqualLengthClaim
from gradpipe.claims.quality.model_families import FamilyClaim
from gradpipe.claims.quality.separation import SeparationClaim
from gradpipe.claims.quality.unpaired import INSTRUCTION_DATA

SEQUEL_CITATION = "Li et al. (arXiv 2504.10766)"
#: The mean absolute cosine up to which gradients are "nearly orthogonal". The sequel gives no
#: number.
NEAR_ZERO_COSINE = 0.1
#: The column of absolute cosines, in units of NEAR_ZERO_COSINE.
COSINE_STATISTIC = "cosine_over_limit"

LOW, HIGH = "quality_low", "quality_high"
_WORDS = {"nuclear_norm": "nuclear norm", "effective_rank": "effective rank"}
_CONTROLS: dict[Literal["matched", "regression"], str] = {
    "matched": "among pairs of examples of equal length",
    "regression": "by regression on log tokens, among lengths that both have",
}
_KINDS = {"same_layer": "two projections of one layer", "next_layer": "adjacent layers"}


def _ratio(over: str, under: str) -> tuple[Term, Term]:
    return Term(1, over), Term(-1, under)


def _differs(name: str, statistic: str, over: str, under: str, title: str) -> list[Claim]:
    """The claim on a statistic as the sequel states it, then with length controlled for."""
    terms = _ratio(over, under)
    sides = {
        LOW: "low-quality data",
        HIGH: "reasoning data" if under == INSTRUCTION_DATA else "high-quality data",
        INSTRUCTION_DATA: "instruction data",
    }
    statement = f"The {_WORDS[statistic]} is larger for {sides[over]} than for {sides[under]}"
    stated = Claim(
        claim=name,
        group=name,
        title=title,
        statement=f"{statement}.",
        source=SEQUEL_CITATION,
        terms=terms,
        statistic=statistic,
    )
    controlled = [
        EqualLengthClaim(
            claim=f"{name}-{control}",
            group=f"{name}-length",
            title=f"{title}, at equal length",
            statement=f"{statement}, {how}.",
            source=f"{SEQUEL_CITATION}, with length controlled for",
            terms=terms,
            statistic=statistic,
            control=control,
        )
        for control, how in _CONTROLS.items()
    ]
    return [stated, *controlled]


#: Claims on tables of statistics.
SEQUEL_CLAIMS: tuple[Claim, ...] = (
    *_differs("S1", "nuclear_norm", LOW, HIGH, "High-quality data have lower nuclear norms"),
    *_differs("S2", "effective_rank", HIGH, LOW, "High-quality data have higher effective ranks"),
    SeparationClaim(
        claim="S3",
        group="S3",
        title="The effective rank separates high from low quality better than the nuclear norm",
        statement=(
            "The AUROC of the effective rank, as claimed, is larger than that of the nuclear norm "
            "in whichever direction it separates."
        ),
        source=SEQUEL_CITATION,
        terms=_ratio(HIGH, LOW),
        statistic="effective_rank",
        against="nuclear_norm",
    ),
    *(
        FamilyClaim(
            claim=name,
            group="S4",
            title="Models of one family have similar curves across sizes",
            statement=(
                f"The shapes of the {_WORDS[statistic]}'s curves differ more between model "
                "families than between sizes of one family."
            ),
            source=SEQUEL_CITATION,
            terms=_ratio(HIGH, LOW),
            statistic=statistic,
        )
        for name, statistic in (("S4a", "nuclear_norm"), ("S4b", "effective_rank"))
    ),
)
#: Claims on tables of cosines, by the kind of cosine: see gradpipe/claims/quality/verdicts.py.
COSINE_CLAIMS: dict[str, tuple[Claim, ...]] = {
    kind: tuple(
        Claim(
            claim=f"S5{'ab'[place]}-{kind}",
            group="S5",
            title="Gradients of one layer and of adjacent layers are nearly orthogonal",
            statement=(
                f"The mean absolute cosine of gradients of {words} is below {NEAR_ZERO_COSINE}, "
                f"for {'high' if style == HIGH else 'low'}-quality data (the ratio is to "
                f"{NEAR_ZERO_COSINE})."
            ),
            source=f"{SEQUEL_CITATION}, which gives no limit",
            terms=(Term(1, style),),
            test="not_greater",
            statistic=COSINE_STATISTIC,
        )
        for place, style in enumerate((HIGH, LOW))
    )
    for kind, words in _KINDS.items()
}
#: Claims on the high-quality data of reasoning and of all instruction benchmarks together.
REASONING_CLAIMS = (
    *_differs(
        "S6",
        "effective_rank",
        HIGH,
        INSTRUCTION_DATA,
        "Reasoning data have higher effective ranks than instruction data",
    ),
)
ALL_SEQUEL_CLAIMS = (
    *SEQUEL_CLAIMS,
    *(claim for claims in COSINE_CLAIMS.values() for claim in claims),
    *REASONING_CLAIMS,
)
