"""The paper's claims as data."""

from gradpipe.claims.contrasts import claims_table
from gradpipe.claims.paper import PAPER_CLAIMS
from gradpipe.claims.schemas import CLAIM_SCHEMA
from gradpipe.styles import RELEVANCES, STYLES


def test_every_claim_is_a_ratio_of_curves_that_exist() -> None:
    for claim in PAPER_CLAIMS:
        assert sum(term.coefficient for term in claim.terms) == 0, claim.claim
        assert {term.style for term in claim.terms} <= set(STYLES)
        assert {term.relevance for term in claim.terms} <= set(RELEVANCES)
        assert len(set(claim.terms)) == len(claim.terms)
        roles = {term.role for term in claim.terms}
        assert roles in ({"self"}, {"base", "tuned"})
        assert claim.compares_models == (roles != {"self"})
        assert claim.margin > 1 or claim.test == "greater"


def test_the_table_has_a_row_a_claim_and_a_title_a_group() -> None:
    table = claims_table(PAPER_CLAIMS)
    assert table.schema == CLAIM_SCHEMA
    assert table["claim"].is_unique().all()
    groups = table["group"].unique(maintain_order=True).to_list()
    # The figure on AQuA is of one model: another that is at nine times does not contradict claim 1.
    assert groups == ["1", "1c", "1d", "1f", "2", "3", "4", "5", "6"]
    assert table.select("group", "title").unique().height == len(groups)
    assert table["statement"].str.ends_with(".").all()


def test_the_weak_claim_and_the_signed_ratios_are_said_to_be_so() -> None:
    statements = {claim.claim: claim.statement for claim in PAPER_CLAIMS}
    assert "weak" in statements["5"]
    assert all("signed ratio" in statements[claim] for claim in ("3a", "3b", "6c", "6f"))


def test_claims_on_mad_name_what_states_the_same_apart_from_size() -> None:
    claims = {claim.claim: claim for claim in PAPER_CLAIMS}
    beside = {name: claim.scale_free for name, claim in claims.items() if claim.scale_free}
    assert beside == {"1a": "1d", "1b": "1e", "1c": "1f"}
    for of_mad, name in beside.items():
        claim, apart = claims[of_mad], claims[name]
        assert (claim.quantity, apart.quantity) == ("mad", "relative_mad")
        for same in ("terms", "test", "margin", "statistic", "segment", "benchmark"):
            assert getattr(claim, same) == getattr(apart, same)


def test_an_empty_list_of_claims_has_an_empty_table() -> None:
    assert claims_table([]).schema == CLAIM_SCHEMA
