"""The paper's claims as data: each part is one contrast.

Li, Li and Zhou (ACL 2025) state them in terms of MAD and RD. RD takes absolute differences, so it
has no sign and grows with noise. Instead, the claims here use the signed ratio of two curves,
layer by layer.
"""

from collections.abc import Collection

from gradpipe.claims.contrasts import Claim, ModelRole, Segment, Term

PAPER_CITATION = "Li, Li and Zhou (ACL 2025)"
#: The ratio up to which two curves "nearly coincide" and one is "not better". The paper gives no
#: number.
NEAR_MARGIN = 1.1

_UNEVEN = "The shorter the chain of thought, the more uneven the layers"
_UNEVEN_TO_SIZE = (
    "The shorter the chain of thought, the more uneven the layers, relative to the curve's mean"
)
_AQUA = "On AQuA, bare answers are over ten times as uneven as detailed responses"
_AQUA_TO_SIZE = (
    "On AQuA, bare answers are over ten times as uneven as detailed responses, relative to the "
    "curve's mean"
)
_EARLY = "Fast thinking gives larger gradients in the early layers"
_IRRELEVANT = "Irrelevant responses stand out if they are detailed, but not as bare answers"
_TUNING = "Instruction tuning does not help to distinguish irrelevant responses from correct ones"
_BASE = "Pre-trained models are less affected by fast thinking"
_KNOWLEDGE = "For knowledge questions, neither length nor relevance matters"


def _apart(style: str, role: ModelRole = "self", sign: int = 1) -> tuple[Term, Term]:
    """The ratio of irrelevant to correct responses of a style."""
    return Term(sign, style, "irrelevant", role), Term(-sign, style, "correct", role)


def _none_over_detailed(
    role: ModelRole, sign: int, segment: Segment | None = None
) -> tuple[Term, Term]:
    return (
        Term(sign, "none", role=role, segment=segment),
        Term(-sign, "detailed", role=role, segment=segment),
    )


PAPER_CLAIMS: tuple[Claim, ...] = (
    Claim(
        claim="1a",
        group="1",
        title=_UNEVEN,
        statement=(
            "The MAD of the nuclear norm's curve is larger without a chain of thought than "
            "with a simplified one."
        ),
        source=PAPER_CITATION,
        terms=(Term(1, "none"), Term(-1, "simplified")),
        quantity="mad",
        scale_free="1d",
    ),
    Claim(
        claim="1b",
        group="1",
        title=_UNEVEN,
        statement=(
            "The MAD of the nuclear norm's curve is larger with a simplified chain of thought "
            "than with a detailed one."
        ),
        source=PAPER_CITATION,
        terms=(Term(1, "simplified"), Term(-1, "detailed")),
        quantity="mad",
        scale_free="1e",
    ),
    Claim(
        claim="1c",
        group="1c",
        title=_AQUA,
        statement=(
            "On AQuA the MAD of the nuclear norm's curve is over ten times as large without a "
            "chain of thought as with a detailed one."
        ),
        source=f"{PAPER_CITATION}, figures second-hand",
        terms=(Term(1, "none"), Term(-1, "detailed")),
        margin=10.0,
        quantity="mad",
        benchmark="aqua",
        scale_free="1f",
    ),
    *(
        Claim(
            claim=name,
            group="1d",
            title=_UNEVEN_TO_SIZE,
            statement=(
                f"The MAD of the nuclear norm's curve divided by the curve's mean is larger {what}."
            ),
            source=f"{PAPER_CITATION}, without the curve's size",
            terms=(Term(1, shorter), Term(-1, longer)),
            quantity="relative_mad",
        )
        for name, shorter, longer, what in (
            ("1d", "none", "simplified", "without a chain of thought than with a simplified one"),
            (
                "1e",
                "simplified",
                "detailed",
                "with a simplified chain of thought than with a detailed one",
            ),
        )
    ),
    Claim(
        claim="1f",
        group="1f",
        title=_AQUA_TO_SIZE,
        statement=(
            "On AQuA the MAD of the nuclear norm's curve divided by the curve's mean is over ten "
            "times as large without a chain of thought as with a detailed one."
        ),
        source=f"{PAPER_CITATION}, without the curve's size",
        terms=(Term(1, "none"), Term(-1, "detailed")),
        margin=10.0,
        quantity="relative_mad",
        benchmark="aqua",
    ),
    Claim(
        claim="2",
        group="2",
        title=_EARLY,
        statement=(
            "In the early layers the nuclear norm is larger without a chain of thought than "
            "with a detailed one."
        ),
        source=PAPER_CITATION,
        terms=(Term(1, "none"), Term(-1, "detailed")),
        segment="early",
    ),
    Claim(
        claim="2b",
        group="2",
        title=_EARLY,
        statement=(
            "The ratio of the nuclear norm without a chain of thought to that with a detailed one "
            "is larger in the early layers than in the last ones."
        ),
        source=PAPER_CITATION,
        terms=(
            *_none_over_detailed("self", 1, "early"),
            *_none_over_detailed("self", -1, "last"),
        ),
    ),
    Claim(
        claim="3a",
        group="3",
        title=_IRRELEVANT,
        statement=(
            "With a detailed chain of thought the nuclear norm is larger for irrelevant "
            "responses than for correct ones, layer by layer (by the signed ratio; the paper "
            "uses the unsigned RD)."
        ),
        source=PAPER_CITATION,
        terms=_apart("detailed"),
    ),
    Claim(
        claim="3b",
        group="3",
        title=_IRRELEVANT,
        statement=(
            "Without a chain of thought the curves of irrelevant and correct responses nearly "
            "coincide: at every layer, their signed ratio is within 10 %."
        ),
        source=PAPER_CITATION,
        terms=_apart("none"),
        test="within",
        margin=NEAR_MARGIN,
        quantity="layers",
    ),
    Claim(
        claim="3c",
        group="3",
        title=_IRRELEVANT,
        statement=(
            "The ratio of irrelevant to correct responses is larger with a detailed chain of "
            "thought than without one."
        ),
        source=PAPER_CITATION,
        terms=(*_apart("detailed"), *_apart("none", sign=-1)),
    ),
    Claim(
        claim="4",
        group="4",
        title=_TUNING,
        statement=(
            "With a detailed chain of thought, the ratio of irrelevant to correct responses is "
            "not larger, by a tenth or more, in an instruction-tuned model than in its "
            "pre-trained base."
        ),
        source=PAPER_CITATION,
        terms=(*_apart("detailed", "tuned"), *_apart("detailed", "base", -1)),
        test="not_greater",
        margin=NEAR_MARGIN,
    ),
    Claim(
        claim="5",
        group="5",
        title=_BASE,
        statement=(
            "The MAD without a chain of thought, relative to that with a detailed one, is "
            "smaller in a pre-trained model than in the model tuned from it. A weak claim: "
            "only the abstract of the first version makes it."
        ),
        source=f"{PAPER_CITATION}, first version's abstract",
        terms=(*_none_over_detailed("tuned", 1), *_none_over_detailed("base", -1)),
        quantity="mad",
    ),
    *(
        Claim(
            claim=f"6{part}",
            group="6",
            title=_KNOWLEDGE,
            statement=(
                f"The MAD of answers of {tokens} tokens is not lower, by a tenth or more, than "
                "that of answers of 100 tokens."
            ),
            source=PAPER_CITATION,
            terms=(Term(1, "length_100"), Term(-1, f"length_{tokens}")),
            test="not_greater",
            margin=NEAR_MARGIN,
            quantity="mad",
        )
        for part, tokens in (("a", 500), ("b", 1000))
    ),
    *(
        Claim(
            claim=f"6{part}",
            group="6",
            title=_KNOWLEDGE,
            statement=(
                f"The curves of irrelevant and correct {what} nearly coincide: at every "
                "layer, their signed ratio is within 10 %."
            ),
            source=PAPER_CITATION,
            terms=_apart(style),
            test="within",
            margin=NEAR_MARGIN,
            quantity="layers",
        )
        for part, style, what in (
            ("c", "length_100", "answers of 100 tokens"),
            ("d", "length_500", "answers of 500 tokens"),
            ("e", "length_1000", "answers of 1000 tokens"),
            ("f", "article", "articles"),
        )
    ),
)


def paper_claims(styles: Collection[str]) -> list[Claim]:
    """The paper's claims that are about some of these styles alone."""
    return [claim for claim in PAPER_CLAIMS if {term.style for term in claim.terms} <= {*styles}]
