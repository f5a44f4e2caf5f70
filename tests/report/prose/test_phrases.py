"""Phrases: ratios, intervals and counts as text."""

import pytest

from gradpipe.report.prose.phrases import (
    count_text,
    interval_name,
    interval_text,
    ratio_text,
    tally,
)


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (6.4, "6.4 times as large"),
        (123.4, "123 times as large"),
        (0.31, "0.31 times as large"),
        (1.042, "4.2 % larger"),
        (0.88, "12 % smaller"),
        (1.0002, "equal to within 0.1 %"),
        (float("nan"), "no ratio"),
        (None, "no ratio"),
    ],
)
def test_a_ratio_is_given_in_times_or_in_percent_if_close_to_one(
    ratio: float | None, text: str
) -> None:
    assert ratio_text(ratio) == text


@pytest.mark.parametrize(
    ("ratio", "low", "high", "text"),
    [
        (6.4, 5.1, 8.0, "95 % interval 5.1 to 8.0 times"),
        (3.0, 2.98, 3.04, "95 % interval 2.98 to 3.04 times"),
        (1.04, 1.02, 1.06, "95 % interval 2.0 % to 6.0 % larger"),
        (0.9, 0.85, 0.97, "95 % interval 3.0 % to 15 % smaller"),
        (1.04, 0.97, 1.12, "95 % interval 3.0 % smaller to 12 % larger"),
        (1.2, 0.3, 4.8, "95 % interval 0.30 to 4.8 times"),
        (3.0, 0.0, 9.0, "95 % interval up to 9.0 times"),
        (3.0, 2.0, float("inf"), "95 % interval 2.0 times or more"),
        (3.0, None, float("nan"), "no 95 % interval"),
    ],
)
def test_an_interval_is_given_in_times_or_percent_like_its_ratio(
    ratio: float, low: float | None, high: float | None, text: str
) -> None:
    assert interval_text(ratio, low, high) == text


def test_counts_have_nouns_in_the_singular_or_plural() -> None:
    assert [count_text(n, "item") for n in (0, 1, 2)] == ["0 items", "1 item", "2 items"]
    assert tally([], "claim") == ""
    assert tally(["supported"], "claim") == "The one claim is supported."
    assert tally(["undecided"] * 2, "claim") == "Both claims are undecided."
    assert tally(["supported", "undecided", "supported"], "claim") == (
        "Of 3 claims, 2 are supported and 1 is undecided."
    )


@pytest.mark.parametrize(
    ("test", "quantity", "name"),
    [
        ("greater", "mad", "95 % interval"),
        ("within", "mean", "90 % interval"),
        ("not_greater", "mean", "90 % interval"),
        ("within", "layers", "95 % bounds of all layers"),
    ],
)
def test_the_interval_of_an_equivalence_is_named_by_its_level(
    test: str, quantity: str, name: str
) -> None:
    assert interval_name({"test": test, "quantity": quantity}) == name
