"""Every item gets sentences of others, as many as its own, and never its right answer."""

import json
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradpipe.benchmarks.items import SamplingMethod
from gradpipe.errors import DataError
from gradpipe.responses.final_answer.compare import same_answer
from gradpipe.responses.final_answer.find import final_answer
from gradpipe.responses.sentence_shuffle import shuffled_responses
from gradpipe.responses.sentences import sentences

SCHEMA = {"item_id": pl.String, "index": pl.Int64, "answer": pl.String, "text": pl.String}


def responses(texts: list[str], answers: list[str | None]) -> pl.DataFrame:
    rows = [(f"i{n}", n, *row) for n, row in enumerate(zip(answers, texts, strict=True))]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def numbered(counts: list[int], answers: list[str] | None = None) -> pl.DataFrame:
    """Responses of the given numbers of distinct sentences, each before a stated answer."""
    golds = answers or [str(900 + n) for n in range(len(counts))]
    texts = [
        " ".join(
            [*(f"Item x{n} has part p{part}." for part in range(count)), f"The answer is {gold}."]
        )
        for n, (count, gold) in enumerate(zip(counts, golds, strict=True))
    ]
    return responses(texts, list(golds))


def shuffled(
    table: pl.DataFrame, seed: int = 0, how: SamplingMethod = "first", style: str = "detailed"
) -> dict[str, str]:
    return dict(shuffled_responses(table, "b", style, seed, how).iter_rows())


def said(text: str) -> list[str]:
    return [" ".join(sentence.split()) for sentence in sentences(text)]


COUNTS = st.lists(st.integers(0, 6), min_size=3, max_size=34)


@settings(deadline=None, max_examples=40)
@given(COUNTS, st.integers(0, 5))
def test_sentences_are_others_as_many_as_before_and_in_their_places(
    counts: list[int], seed: int
) -> None:
    table = numbered(counts)
    drawn = shuffled(table, seed)
    own = {item: said(text) for item, text in table.select("item_id", "text").iter_rows()}
    firsts = {parts[0] for parts in own.values()}
    lasts = {parts[-1] for parts in own.values()}
    for item, parts in own.items():
        dealt = said(drawn[item])
        assert len(dealt) == len(parts)
        assert not set(dealt) & set(parts)
        assert dealt[-1] in lasts
        # Where too few others have a beginning, an ending stands in.
        assert len(dealt) == 1 or dealt[0] in firsts | lasts


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(["yes", "no"]), min_size=2, max_size=34), st.integers(0, 5))
def test_the_right_answer_is_never_dealt(answers: list[str], seed: int) -> None:
    if len(set(answers)) < 2:
        answers = [*answers, "yes" if answers[0] == "no" else "no"]
    table = numbered([2] * len(answers), answers)
    drawn = shuffled(table, seed)
    for item, answer in table.select("item_id", "answer").iter_rows():
        assert final_answer(drawn[item], answer) not in (None, answer)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 6), min_size=22, max_size=40), st.sampled_from(["first", "random"]))
def test_full_blocks_are_as_they_were_when_items_are_added(
    counts: list[int], how: SamplingMethod
) -> None:
    table = numbered(counts)
    whole = shuffled(table, how=how)
    order = shuffled_responses(table, "b", "detailed", 0, how)["item_id"].to_list()
    before = shuffled(table.filter(pl.col("item_id").is_in(order[:20])), how=how)
    assert before == {item: whole[item] for item in before}


@settings(deadline=None, max_examples=25)
@given(COUNTS, st.integers(0, 99), st.sampled_from(["first", "random"]))
def test_the_order_of_rows_does_not_matter(
    counts: list[int], seed: int, how: SamplingMethod
) -> None:
    table = numbered(counts)
    mixed = table.sample(fraction=1, shuffle=True, seed=seed)
    assert shuffled(table, how=how) == shuffled(mixed, how=how)


def test_every_sentence_of_a_block_is_dealt_once_where_that_can_be() -> None:
    table = numbered([4] * 10)
    before = sorted(part for text in table["text"] for part in said(text))
    assert sorted(part for text in shuffled(table).values() for part in said(text)) == before


def test_single_answers_are_dealt_other_items_answers() -> None:
    golds = ["18", "$18", "18.00", "7", "1,200", "1200", "3", "5"]
    drawn = shuffled(responses(golds, list(golds)), style="none")
    assert all(not same_answer(drawn[f"i{n}"], gold) for n, gold in enumerate(golds))
    assert set(drawn.values()) <= set(golds)


def test_without_answers_no_text_is_dealt_to_its_like() -> None:
    drawn = shuffled(responses(["Yes", "yes ", "no"], [None] * 3))
    assert (drawn["i0"], drawn["i1"]) == ("no", "no")
    assert drawn["i2"].casefold() == "yes"


def test_a_phrase_that_is_the_answer_is_not_even_mentioned() -> None:
    texts = [f"I went to the {place}. The answer is {place}." for place in ("bank", "zoo", "sea")]
    texts.append("The bank was shut that day. The answer is the Sea.")
    golds = ["bank", "zoo", "sea", "sea"]
    drawn = shuffled(responses(texts, list(golds)))
    assert all(gold not in drawn[f"i{n}"].casefold() for n, gold in enumerate(golds))


def test_a_blank_response_gets_a_sentence_and_gives_none() -> None:
    drawn = shuffled(responses(["", "A b. C 1.", "D e. F 2."], ["0", "1", "2"]))
    assert drawn["i0"].strip()
    assert all(
        len(said(text)) == count for text, count in zip(drawn.values(), (1, 2, 2), strict=True)
    )


def test_seeds_give_different_shuffles_and_one_seed_the_same() -> None:
    table = numbered([4] * 20)
    assert shuffled(table, seed=1) == shuffled(table, seed=1) != shuffled(table, seed=2)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (numbered([2]), "'b' has 1 item with the style 'detailed'.*two or more"),
        (responses(["yes", "Yes"], ["yes", "yes"]), "'b' has no usable 'detailed' .*'yes'"),
        (responses(["", " "], ["1", "2"]), "'b' has no usable 'detailed' sentence"),
    ],
)
def test_what_cannot_be_shuffled_is_refused(table: pl.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        shuffled(table)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        # Long responses take seconds per set: of numbers and of letters on every run.
        pytest.param(
            name,
            file,
            marks=pytest.mark.slow
            if file == "with_cot_gpt4o" and name not in ("gsm8k", "ecqa")
            else (),
        )
        for name in ("gsm8k", "aqua", "ecqa", "creak", "sensemaking", "strategyqa")
        for file in ("no_cot", "with_cot", "with_cot_gpt4o")
    ],
)
def test_the_release_s_items_get_no_right_answer_where_its_own_shuffle_gave_many(
    name: str, file: str, shared: Path
) -> None:
    def rows(folder: str, kind: str = file) -> list[dict[str, Any]]:
        path = shared / "layer-gradient" / folder / f"{name}_train_{kind}.json"
        return json.loads(path.read_text("utf-8"))[:200]  # type: ignore[no-any-return]

    def right(texts: list[str]) -> int:
        asked = [row["instruction"] for row in rows("cot_500")]
        found = map(final_answer, texts, golds, asked)
        return sum(
            one is not None and same_answer(one, gold)
            for one, gold in zip(found, golds, strict=True)
        )

    golds = [row["output"] for row in rows("cot_500", "no_cot")]
    table = responses([row["output"] for row in rows("cot_500")], list(golds)).with_columns(
        instruction=pl.Series([row["instruction"] for row in rows("cot_500")])
    )
    drawn = shuffled(table)
    assert right([drawn[f"i{n}"] for n in range(200)]) == 0
    if (name, file) == ("creak", "no_cot"):
        assert right([row["output"] for row in rows("cot_500_wrong_answer_shuffle")]) == 36
    lengths = table["text"].str.len_chars().mean()
    assert sum(map(len, drawn.values())) / 200 == pytest.approx(lengths, rel=0.1)


def test_two_thousand_items_take_seconds() -> None:
    table = numbered(
        [n % 12 for n in range(2000)], [("yes", "no")[n % 3 == 0] for n in range(2000)]
    )
    started = time.perf_counter()
    assert len(shuffled(table)) == 2000
    assert time.perf_counter() - started < 15


def test_thinking_is_not_taken_apart() -> None:
    table = pl.DataFrame({"item_id": ["a", "b"], "index": [0, 1], "answer": ["1", "2"]})
    texts = table.with_columns(text=pl.lit("<think>\nOne. Two.\n</think>\n\n1"))
    with pytest.raises(DataError, match="derangement"):
        shuffled_responses(texts, "sums", "thinking", 0)
