"""The words for comparisons of a study's own styles, which are claims without a direction."""

from collections.abc import Sequence

from gradpipe.claims.schemas import COMPARISON_SOURCE
from gradpipe.claims.style_claims import IS_LARGER
from gradpipe.report.prose.phrases import CLAIM_VERDICTS, count_text, join_words, tally

#: What a verdict says of the first of the two styles.
_WORDS = {"supported": "larger", "contradicted": "smaller"}
_STATEMENTS = {
    "contradicted": " is smaller for ",
    "undecided": " is neither clearly larger nor clearly smaller for ",
}


def verdict_word(verdict: str, source: str) -> str:
    """The word for a verdict on a claim of this source."""
    return _WORDS.get(verdict, verdict) if source == COMPARISON_SOURCE else verdict


def found_statement(statement: str, verdict: str, source: str) -> str:
    """The claim's statement; of a comparison what was found, which may be its opposite."""
    if source != COMPARISON_SOURCE or verdict not in _STATEMENTS:
        return statement
    return statement.replace(IS_LARGER, _STATEMENTS[verdict], 1)


def tally_findings(findings: Sequence[tuple[str, str]]) -> str:
    """How many claims have which verdict, and how many comparisons, given (verdict, source)."""
    claims = [verdict for verdict, source in findings if source != COMPARISON_SOURCE]
    compared = [verdict for verdict, source in findings if source == COMPARISON_SOURCE]
    counts = {verdict: compared.count(verdict) for verdict in CLAIM_VERDICTS if verdict in compared}
    parts = [
        f"{_WORDS.get(verdict, verdict)} for the first style in {count}"
        if verdict in _WORDS
        else f"undecided in {count}"
        for verdict, count in counts.items()
    ]
    sentence = f"Of {count_text(len(compared), 'comparison')} of styles: {join_words(parts)}."
    return " ".join(filter(None, (tally(claims, "claim"), sentence if compared else "")))
