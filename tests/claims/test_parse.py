"""A user's own claims, from text."""

import pytest

from gradpipe.claims.contrasts import Term
from gradpipe.claims.paper import PAPER_CLAIMS
from gradpipe.claims.parse import CLAIM_GRAMMAR, parse_claim
from gradpipe.errors import StudyError

STATISTICS = ("nuclear_norm", "effective_rank")


@pytest.mark.parametrize(
    ("text", "quantity", "statistic", "segment"),
    [
        ("none > detailed on effective_rank", "mean", "effective_rank", "all"),
        ("none > detailed on mad of nuclear_norm", "mad", "nuclear_norm", "all"),
        ("none > detailed on relative mad of nuclear_norm", "relative_mad", "nuclear_norm", "all"),
        ("none > detailed on Log MAD of nuclear_norm", "log_mad", "nuclear_norm", "all"),
        ("none>detailed on MAD of nuclear_norm in early layers", "mad", "nuclear_norm", "early"),
        ("  None  >  detailed on nuclear_norm in last layers ", "mean", "nuclear_norm", "last"),
    ],
)
def test_a_claim_is_read_from_its_words(
    text: str, quantity: str, statistic: str, segment: str
) -> None:
    claim = parse_claim(text, STATISTICS)
    assert claim.terms == (Term(1, "none"), Term(-1, "detailed"))
    assert (claim.quantity, claim.statistic, claim.segment) == (quantity, statistic, segment)
    assert (claim.test, claim.margin, claim.benchmark) == ("greater", 1.0, None)


def test_irrelevant_follows_the_style_it_belongs_to() -> None:
    claim = parse_claim("detailed irrelevant > detailed on nuclear_norm", STATISTICS)
    assert claim.terms == (Term(1, "detailed", "irrelevant"), Term(-1, "detailed", "correct"))
    assert claim.claim == "detailed irrelevant > detailed on nuclear_norm"
    assert "irrelevant responses of style detailed than for correct" in claim.statement


def test_rejected_follows_the_style_it_belongs_to() -> None:
    claim = parse_claim("given rejected > given on nuclear_norm", STATISTICS)
    assert claim.terms == (Term(1, "given", "rejected"), Term(-1, "given", "correct"))
    assert claim.claim == "given rejected > given on nuclear_norm"


def test_one_segment_over_another_compares_the_ratios_of_both() -> None:
    claim = parse_claim("none > detailed on nuclear_norm in early over last layers", STATISTICS)
    assert claim.claim == "none > detailed on nuclear_norm in early over last layers"
    assert claim.terms == (
        Term(1, "none", segment="early"),
        Term(-1, "detailed", segment="early"),
        Term(-1, "none", segment="last"),
        Term(1, "detailed", segment="last"),
    )
    assert parse_claim(claim.claim, STATISTICS) == claim
    (paper,) = (claim for claim in PAPER_CLAIMS if claim.claim == "2b")
    assert set(paper.terms) == set(claim.terms)
    assert (paper.quantity, paper.test) == (claim.quantity, claim.test)


@pytest.mark.parametrize("measure", ["mad", "relative mad", "log mad"])
def test_a_claims_name_reads_as_the_claim_again(measure: str) -> None:
    text = f"length_100>article irrelevant  on {measure} of effective_rank in mid layers"
    claim = parse_claim(text, STATISTICS)
    assert claim.claim == (
        f"length_100 > article irrelevant on {measure} of effective_rank in mid layers"
    )
    assert parse_claim(claim.claim, STATISTICS) == claim


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("detailled > none on nuclear_norm", ("'detailled'", "'detailed'")),
        ("none > detailed on effective_rang", ("'effective_rang'", "'effective_rank'")),
        ("none > detailed on stable_rank", ("'stable_rank'", "effective_rank, nuclear_norm")),
        ("none > detailed on nuclear_norm in erly layers", ("'erly'", "'early'")),
        ("none > detailed on nuclear_norm in early", ("'layers'",)),
        ("none > detailed on nuclear_norm in early over", ("segment",)),
        ("none > detailed on nuclear_norm in early over early layers", ("early layers",)),
        ("none < detailed on nuclear_norm", ("'<'", "'>'", CLAIM_GRAMMAR)),
        ("none > detailed", ("'on'",)),
        ("none > detailed on mad nuclear_norm", ("'nuclear_norm'", "'of'")),
        ("none > detailed on relative nuclear_norm", ("'nuclear_norm'", "'mad'")),
        ("none > detailed on nuclear_norm or so", ("'or'",)),
        ("none > none on nuclear_norm", ("'none > none on nuclear_norm'",)),
        ("", ("style",)),
    ],
)
def test_an_error_names_the_wrong_word_and_the_right_one(text: str, named: tuple[str, ...]) -> None:
    with pytest.raises(StudyError) as raised:
        parse_claim(text, STATISTICS)
    for part in named:
        assert part in str(raised.value)
