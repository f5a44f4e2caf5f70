"""The sentences that users read about verdicts and comparisons, kept in a snapshot."""

import polars as pl
import pytest
from syrupy.assertion import SnapshotAssertion

from gradpipe.claims.comparison import COMPARISON_SCHEMA
from gradpipe.claims.comparison_text import comparison_sentences, comparison_summary
from gradpipe.claims.contrasts import Claim, ClaimTest, Quantity, claims_table
from gradpipe.claims.paper import PAPER_CLAIMS
from gradpipe.claims.parse import parse_claim
from gradpipe.claims.reasons import cell_agreement, cell_reason, overall_reason
from gradpipe.errors import StudyError


def claim(test: ClaimTest, margin: float = 1.0, quantity: Quantity = "mean") -> Claim:
    return Claim(
        claim="c",
        group="c",
        title="",
        statement="",
        source="",
        terms=(),
        test=test,
        margin=margin,
        quantity=quantity,
    )


ROW = {
    "items": 24,
    "defined": True,
    "verdict": "supported",
    "low": 0.5,
    "high": 1.5,
    "p": 0.001,
    "p_adjusted": 0.01,
    "supported_p": 0.001,
    "contradicted_p": 1.0,
    "cells": 8,
    "all_cells": 8,
    "most_items": 24,
    "support": 8,
    "contradict": 0,
}
UNCLEAR = {"verdict": "undecided", "p": 0.4, "supported_p": 0.4, "low": -0.2, "high": 0.3}
AGAINST = {"verdict": "contradicted", "supported_p": 1.0, "contradicted_p": 0.001}


def test_reasons_of_cells(snapshot: SnapshotAssertion) -> None:
    greater, within = claim("greater"), claim("within", 1.1)
    rows = [
        (greater, {"items": 1}),
        (greater, {"items": 7}),
        (greater, {"defined": False}),
        (greater, {"p": None}),
        (greater, {}),
        (greater, {"low": -9.0, "high": 30.0} | AGAINST),
        (within, {"low": -0.05, "high": 0.05}),
        (within, AGAINST),
        (claim("not_greater", 1.1), {"low": -0.5, "high": 0.05}),
        (greater, {"verdict": "undecided", "p_adjusted": 0.12345}),
        (greater, UNCLEAR),
    ]
    assert [cell_reason(of, ROW | changes) for of, changes in rows] == snapshot


@pytest.mark.parametrize(
    ("pairing", "words"),
    [
        ("response", "(paired by response)"),
        ("item", "(paired by item)"),
        ("mixed", "(paired by response or by item)"),
    ],
)
def test_reasons_on_relevance_name_the_pairing(pairing: str, words: str) -> None:
    of = parse_claim("detailed irrelevant > detailed on nuclear_norm", ["nuclear_norm"])
    row = ROW | {"pairing": pairing}
    for explain in (cell_reason, overall_reason):
        assert explain(of, row).endswith(words)
        assert "paired" not in explain(claim("greater"), row)


def test_reasons_over_all_cells(snapshot: SnapshotAssertion) -> None:
    rows = [
        {},
        {"cells": 1, "all_cells": 1, "support": 1},
        {"verdict": "undecided", "support": 7, "contradict": 1},
        {"support": 3, "contradict": 2} | UNCLEAR,
        {"all_cells": 10},
        {"cells": 0, "most_items": 5, "support": 0},
        {"cells": 0, "most_items": 50, "support": 0},
    ]
    explained = [
        (overall_reason(claim("greater"), ROW | changes), cell_agreement(ROW | changes))
        for changes in rows
    ]
    assert explained == snapshot


def test_reasons_of_claims_about_each_layer(snapshot: SnapshotAssertion) -> None:
    coincide = claim("within", 1.1, "layers")
    row = ROW | {"low": -0.05, "high": 0.04, "layers": 28, "outside": 0}
    against = AGAINST | {"low": -0.5, "high": 0.6, "outside": 1}
    rows = [
        {},
        against,
        against | {"outside": 9, "verdict": "undecided", "p_adjusted": 0.12345},
        UNCLEAR,
    ]
    overall = [row | {"layers": 224} | changes for changes in rows]
    assert [
        [cell_reason(coincide, row | changes) for changes in rows],
        [overall_reason(coincide, changes) for changes in overall],
    ] == snapshot


def comparison(**columns: object) -> pl.DataFrame:
    """Two styles on seven benchmarks and two projections: A is higher without chain of thought."""
    rows = [
        {
            "model": "m",
            "benchmark": f"b{number}",
            "style": style,
            "relevance": "correct",
            "projection": projection,
            "statistic": "nuclear_norm",
            "quantity": quantity,
            "ratio": 2.0 + number / 100,
            "verdict": "higher" if style == "none" else "undecided",
            "items_a": 20 + number,
            "items_b": 20 + number,
            "paired": True,
        }
        for quantity in ("mean", "mad")
        for number in range(7)
        for style in ("none", "detailed")
        for projection in ("q", "v")
    ]
    return pl.DataFrame([row | columns for row in rows], schema=COMPARISON_SCHEMA)


def test_sentences_of_a_comparison(snapshot: SnapshotAssertion) -> None:
    several = comparison()
    one = several.filter(benchmark="b3", quantity="mean")
    separate = comparison(paired=False, items_b=30, verdict="lower", ratio=0.5)
    assert [
        [comparison_summary(table, "big", "small"), *comparison_sentences(table)]
        for table in (several, one, separate, pl.concat([one, separate.head(2)]))
    ] == snapshot


def test_the_papers_claims(snapshot: SnapshotAssertion) -> None:
    columns = ("claim", "title", "statement", "source")
    assert claims_table(PAPER_CLAIMS).select(columns).rows() == snapshot


@pytest.mark.parametrize(
    "text",
    [
        "detailled > none on nuclear_norm",
        "none > detailed on effective_rang",
        "none > detailed on stable_rank",
        "none > detailed on nuclear_norm in erly layers",
        "none > detailed on nuclear_norm in early",
        "none < detailed on nuclear_norm",
        "none > detailed",
        "none > detailed on mad nuclear_norm",
        "none > detailed on nuclear_norm or so",
        "none > none on nuclear_norm",
        "",
    ],
)
def test_errors_of_malformed_claims(text: str, snapshot: SnapshotAssertion) -> None:
    with pytest.raises(StudyError) as raised:
        parse_claim(text, ("nuclear_norm", "effective_rank"))
    assert str(raised.value) == snapshot
