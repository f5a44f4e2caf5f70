"""Every item gets another's whole response, with another answer and a length like its own."""

import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradpipe.benchmarks.items import SamplingMethod
from gradpipe.errors import DataError
from gradpipe.responses.derangement import irrelevant_responses, pick_donors

SCHEMA = {"item_id": pl.String, "index": pl.Int64, "answer": pl.String, "text": pl.String}
LENGTHS = st.lists(st.integers(1, 400), min_size=2, max_size=45)


def responses(lengths: list[int], answers: Sequence[str | None] | None = None) -> pl.DataFrame:
    """Distinct texts of the given lengths, in items 0, 1, ...; answers are distinct by default."""
    rows = [
        (f"i{n}", n, str(n) if answers is None else answers[n], f"{n:03}".ljust(length + 3, "x"))
        for n, length in enumerate(lengths)
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def donors(table: pl.DataFrame, seed: int = 0, how: SamplingMethod = "first") -> dict[str, str]:
    drawn = irrelevant_responses(table, "b", "detailed", seed, how)
    return dict(drawn.select("item_id", "donor_item_id").iter_rows())


@settings(deadline=None)
@given(LENGTHS, st.integers(0, 5))
def test_distinct_answers_are_permuted_and_nobody_keeps_his_own(
    lengths: list[int], seed: int
) -> None:
    pairs = donors(responses(lengths), seed)
    assert sorted(pairs) == sorted(pairs.values())
    assert all(item != donor for item, donor in pairs.items())


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 400), st.sampled_from("abc")), min_size=2, max_size=45))
def test_the_answer_always_differs(drawn: list[tuple[int, str]]) -> None:
    lengths, answers = zip(*drawn, strict=True)
    if len(set(answers)) < 2:
        answers = (*answers[:-1], "another")
    table = responses(list(lengths), list(answers))
    answer = dict(table.select("item_id", "answer").iter_rows())
    pairs = donors(table)
    assert set(pairs) == set(table["item_id"])
    assert all(answer[item] != answer[donor] for item, donor in pairs.items())


@settings(deadline=None)
@given(LENGTHS, st.randoms(use_true_random=False), st.sampled_from(["first", "random"]))
def test_the_order_of_rows_does_not_matter(
    lengths: list[int], random: object, how: SamplingMethod
) -> None:
    table = responses(lengths)
    shuffled = table.sample(fraction=1, shuffle=True, seed=random.randint(0, 99))  # type: ignore[attr-defined]
    assert donors(table, how=how) == donors(shuffled, how=how)


@settings(deadline=None)
@given(st.lists(st.integers(1, 400), min_size=22, max_size=45))
def test_full_blocks_keep_their_pairs_when_items_are_added(lengths: list[int]) -> None:
    before, after = donors(responses(lengths[:20])), donors(responses(lengths))
    assert before == {item: after[item] for item in before}


def test_more_items_than_a_block_and_one_are_still_a_permutation() -> None:
    for count in (11, 12, 21, 29):
        pairs = donors(responses([50] * count))
        assert sorted(pairs) == sorted(pairs.values())


def test_the_same_seed_gives_the_same_pairs_everywhere() -> None:
    texts = ["x" * (10 + 37 * n % 290) for n in range(25)]
    pairs = pick_donors(texts, [str(n) for n in range(25)], [3, "b", "none"])
    assert pairs.tolist() == [
        8,
        9,
        3,
        2,
        5,
        4,
        7,
        6,
        0,
        1,
        18,
        19,
        13,
        12,
        15,
        14,
        17,
        16,
        10,
        11,
        24,
        22,
        23,
        21,
        20,
    ]


def test_seeds_give_different_pairs() -> None:
    table = responses([50] * 20)
    assert donors(table, seed=1) != donors(table, seed=2)


def test_lengths_are_kept_close() -> None:
    table = responses([10, 1000, 12, 1100, 300, 310, 11, 1050, 320, 305])
    length = dict(zip(table["item_id"], table["text"].str.len_chars(), strict=True))
    assert all(abs(np.log(length[i] / length[d])) < 0.2 for i, d in donors(table).items())


def test_too_many_equal_answers_make_a_donor_serve_twice() -> None:
    table = responses([20] * 10, ["yes"] * 6 + ["no"] * 4)
    served = Counter(donors(table).values())
    assert sum(served.values()) == 10
    assert max(served.values()) == 2


def test_a_block_of_one_answer_is_served_by_later_items() -> None:
    table = responses([20] * 25, ["yes"] * 20 + ["no"] * 5)
    pairs = donors(table)
    assert all(int(pairs[f"i{n}"][1:]) >= 20 for n in range(20))


def test_answers_are_compared_without_case_and_spacing() -> None:
    table = responses([20, 20, 20], ["Yes ", "yes", "no"])
    pairs = donors(table)
    assert (pairs["i0"], pairs["i1"]) == ("i2", "i2")


def test_without_answers_the_responses_are_compared() -> None:
    table = responses([20, 20, 20], [None, None, None]).with_columns(
        text=pl.Series(["a", "A", "b"])
    )
    pairs = donors(table)
    assert (pairs["i0"], pairs["i1"]) == ("i2", "i2")


def test_the_own_text_is_not_received_under_another_answer() -> None:
    table = responses([20, 20, 20], ["1", "2", "3"]).with_columns(text=pl.Series(["a", "a", "b"]))
    pairs = donors(table)
    assert (pairs["i0"], pairs["i1"]) == ("i2", "i2")


def test_a_blank_response_receives_but_does_not_give() -> None:
    table = responses([20, 20, 20]).with_columns(text=pl.Series(["a", " ", "b"]))
    pairs = donors(table)
    assert "i1" in pairs
    assert "i1" not in pairs.values()


def test_one_answer_for_all_is_refused() -> None:
    with pytest.raises(
        DataError, match="'b' has no usable 'detailed' response with another .*'yes'"
    ):
        donors(responses([20, 30], ["yes", "Yes"]))


def test_a_single_item_is_refused() -> None:
    with pytest.raises(DataError, match="'b' has 1 item with the style 'detailed'.*two or more"):
        donors(responses([20]))


@pytest.mark.parametrize("answers", ["distinct", "two", "one against all"])
def test_five_thousand_items_take_seconds(answers: str) -> None:
    lengths = [int(length) for length in np.random.default_rng(0).integers(10, 2000, 5000)]
    choice: list[str | None] = {
        "distinct": [str(n) for n in range(5000)],
        "two": [str(n % 2) for n in range(5000)],
        "one against all": [str(n == 4999) for n in range(5000)],
    }[answers]  # type: ignore[assignment]
    started = time.perf_counter()
    assert len(donors(responses(lengths, choice))) == 5000
    assert time.perf_counter() - started < 10
