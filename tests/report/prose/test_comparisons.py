"""Comparisons of own styles say which is larger, and are not counted among the claims."""

from gradpipe.claims.contrasts import claims_table
from gradpipe.claims.schemas import COMPARISON_SOURCE, STUDY_SOURCE
from gradpipe.claims.style_claims import style_claims
from gradpipe.report.prose.comparisons import found_statement, tally_findings, verdict_word


def test_a_contradicted_comparison_says_the_opposite() -> None:
    (row,) = claims_table(
        style_claims(["a", "b"], ["effective_rank"], {"a": "Teacher A"})
    ).to_dicts()
    words = ("supported", "contradicted", "undecided")
    found = [found_statement(row["statement"], word, row["source"]) for word in words]
    assert found == [
        "The effective rank is larger for Teacher A than for b.",
        "The effective rank is smaller for Teacher A than for b.",
        "The effective rank is neither clearly larger nor clearly smaller for Teacher A than for "
        "b.",
    ]
    assert verdict_word("contradicted", COMPARISON_SOURCE) == "smaller"
    assert verdict_word("contradicted", STUDY_SOURCE) == "contradicted"


def test_comparisons_are_counted_apart_from_claims() -> None:
    verdicts = [
        ("supported", STUDY_SOURCE),
        *(("contradicted", COMPARISON_SOURCE), ("undecided", COMPARISON_SOURCE)),
    ]
    assert tally_findings(verdicts).split(" Of ") == [
        "The one claim is supported.",
        "2 comparisons of styles: smaller for the first style in 1 and undecided in 1.",
    ]
    assert tally_findings([]) == ""
