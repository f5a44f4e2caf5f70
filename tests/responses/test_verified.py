"""Of verified responses, those that failed the gates are left out, wherever they are used."""

import polars as pl

from gradpipe.responses.verified import verified_examples

EXAMPLES = pl.DataFrame(
    [
        ("a", "detailed", "correct", None, "passed"),
        ("b", "detailed", "correct", None, "cut_off"),
        ("c", "detailed", "correct", None, "answer_differs"),
        ("a", "detailed", "irrelevant", "b", None),
        ("b", "detailed", "irrelevant", "a", None),
        ("c", "detailed", "irrelevant", None, None),
        ("b", "none", "correct", None, None),
        ("a", "none", "irrelevant", "b", None),
    ],
    schema=["item_id", "style", "relevance", "donor_item_id", "verdict"],
    orient="row",
)


def test_failed_responses_are_left_out_also_where_another_item_was_given_them() -> None:
    kept = verified_examples(EXAMPLES).select("item_id", "style", "relevance").rows()
    assert kept == [
        ("a", "detailed", "correct"),
        ("b", "detailed", "irrelevant"),
        ("c", "detailed", "irrelevant"),
        ("b", "none", "correct"),
        ("a", "none", "irrelevant"),
    ]


def test_without_a_failure_every_example_is_kept() -> None:
    passed = EXAMPLES.with_columns(verdict=pl.lit("passed"))
    assert verified_examples(passed).equals(passed)
