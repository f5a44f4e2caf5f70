"""The paper's claims, as data: each part one contrast.

Li, Li and Zhou (ACL 2025) state them on MAD and RD. RD takes absolute differences, so it has no
sign and grows with noise alone: where they use it, the claims here are about the signed ratio of
two curves, layer by layer.
"""

from gradpipe.claims.contrasts import Claim, Role, Term

PAPER = "Li, Li and Zhou (ACL 2025)"
#: What "nearly coincide" and "not better" are taken to mean: the paper gives no figure.
MARGIN = 1.1

_UNEVEN = "The less a response thinks, the more uneven the layers"
_AQUA = "On AQuA, answers alone are over ten times as uneven as detailed responses"
_EARLY = "Fast thinking gives larger gradients in the early layers"
_IRRELEVANT = "Detailed responses tell irrelevant from correct, answers alone do not"
_TUNING = "Tuning does not help to tell irrelevant from correct"
_BASE = "Pre-trained models are less affected by fast thinking"
_KNOWLEDGE = "Where knowledge is asked for, neither length nor relevance matters"


def _apart(style: str, role: Role = "self", sign: int = 1) -> tuple[Term, Term]:
    """By how much irrelevant responses of a style lie above correct ones."""
    return Term(sign, style, "irrelevant", role), Term(-sign, style, "correct", role)


def _none_over_detailed(role: Role, sign: int) -> tuple[Term, Term]:
    return Term(sign, "none", role=role), Term(-sign, "detailed", role=role)


PAPER_CLAIMS: tuple[Claim, ...] = (
    Claim(
        "1a",
        "1",
        _UNEVEN,
        "The MAD of the nuclear norm's curve is larger without a chain of thought than with a "
        "simplified one.",
        PAPER,
        (Term(1, "none"), Term(-1, "simplified")),
        quantity="mad",
    ),
    Claim(
        "1b",
        "1",
        _UNEVEN,
        "The MAD of the nuclear norm's curve is larger with a simplified chain of thought than "
        "with a detailed one.",
        PAPER,
        (Term(1, "simplified"), Term(-1, "detailed")),
        quantity="mad",
    ),
    Claim(
        "1c",
        "1c",
        _AQUA,
        "On AQuA the MAD of the nuclear norm's curve is over ten times as large without a chain "
        "of thought as with a detailed one.",
        f"{PAPER}, figures second-hand",
        (Term(1, "none"), Term(-1, "detailed")),
        margin=10.0,
        quantity="mad",
        benchmark="aqua",
    ),
    Claim(
        "2",
        "2",
        _EARLY,
        "In the early layers the nuclear norm is larger without a chain of thought than with a "
        "detailed one.",
        PAPER,
        (Term(1, "none"), Term(-1, "detailed")),
        segment="early",
    ),
    Claim(
        "3a",
        "3",
        _IRRELEVANT,
        "With a detailed chain of thought the nuclear norm is larger for irrelevant responses than "
        "for correct ones, layer by layer (the signed ratio, where the paper has the unsigned RD).",
        PAPER,
        _apart("detailed"),
    ),
    Claim(
        "3b",
        "3",
        _IRRELEVANT,
        "Without a chain of thought the curves of irrelevant and correct responses nearly "
        "coincide: their signed ratio, layer by layer, is within 10 %.",
        PAPER,
        _apart("none"),
        test="within",
        margin=MARGIN,
    ),
    Claim(
        "3c",
        "3",
        _IRRELEVANT,
        "The ratio of irrelevant to correct responses is larger with a detailed chain of thought "
        "than without one.",
        PAPER,
        (*_apart("detailed"), *_apart("none", sign=-1)),
    ),
    Claim(
        "4",
        "4",
        _TUNING,
        "The ratio of irrelevant to correct responses, with a detailed chain of thought, is in an "
        "instruction-tuned model not larger than in its pre-trained base, by a tenth or more.",
        PAPER,
        (*_apart("detailed", "tuned"), *_apart("detailed", "base", -1)),
        test="not_greater",
        margin=MARGIN,
    ),
    Claim(
        "5",
        "5",
        _BASE,
        "The MAD without a chain of thought, relative to that with a detailed one, is smaller in a "
        "pre-trained model than in the model tuned from it. A weak claim: it stands in the first "
        "version's abstract only.",
        f"{PAPER}, first version's abstract",
        (*_none_over_detailed("tuned", 1), *_none_over_detailed("base", -1)),
        quantity="mad",
    ),
    *(
        Claim(
            f"6{part}",
            "6",
            _KNOWLEDGE,
            f"Answers of {tokens} tokens have a MAD that is not lower than that of answers of 100 "
            "tokens, by a tenth or more.",
            PAPER,
            (Term(1, "length_100"), Term(-1, f"length_{tokens}")),
            test="not_greater",
            margin=MARGIN,
            quantity="mad",
        )
        for part, tokens in (("a", 500), ("b", 1000))
    ),
    *(
        Claim(
            f"6{part}",
            "6",
            _KNOWLEDGE,
            f"The curves of irrelevant and correct {what} nearly coincide: their signed ratio, "
            "layer by layer, is within 10 %.",
            PAPER,
            _apart(style),
            test="within",
            margin=MARGIN,
        )
        for part, style, what in (
            ("c", "length_100", "answers of 100 tokens"),
            ("d", "length_500", "answers of 500 tokens"),
            ("e", "length_1000", "answers of 1000 tokens"),
            ("f", "article", "articles"),
        )
    ),
)
