"""Items become examples, style by style and relevance by relevance."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.items import build_items, sample_items
from gradpipe.benchmarks.read import read_items
from gradpipe.errors import DataError
from gradpipe.responses.build import available_styles, build_examples
from gradpipe.responses.examples import EXAMPLE_SCHEMA
from gradpipe.system.hashing import content_hash

BOTH = ["correct", "irrelevant"]
TEXT = {"instruction": pl.String, "answer": pl.String, "rationale": pl.String}


def items_of(count: int = 4, **responses: list[str | None]) -> pl.DataFrame:
    """Items 0, 1, ... with a column of texts a style; ``none_irrelevant`` is the source's own."""
    table = pl.DataFrame(
        {
            "instruction": [f"q{n}" for n in range(count)],
            "answer": [f"a{n}" for n in range(count)],
            "rationale": [None] * count,
            **responses,
        },
        schema_overrides=TEXT,
    )
    columns = {
        (name.removesuffix("_irrelevant"), "irrelevant" if "irr" in name else "correct"): name
        for name in responses
    }
    return build_items(table, "sums", "math", columns)


@pytest.fixture
def items() -> pl.DataFrame:
    return items_of(
        detailed=[f"long {n}" for n in range(4)],
        none=[f"{n}" for n in range(4)],
        none_irrelevant=[f"{n} shuffled" for n in range(4)],
    )


def test_examples_are_sorted_by_item_style_and_relevance(items: pl.DataFrame) -> None:
    examples = build_examples(items.reverse(), None, BOTH[::-1], "derangement", seed=0)
    assert examples.schema == EXAMPLE_SCHEMA
    assert examples.select("index", "style", "relevance").rows() == [
        (index, style, relevance)
        for index in range(4)
        for style in ("none", "detailed")
        for relevance in BOTH
    ]


def test_correct_responses_are_the_item_s_own(items: pl.DataFrame) -> None:
    examples = build_examples(items, ["none"], ["correct"], "derangement", seed=0)
    assert examples.select("instruction", "response", "donor_item_id").rows() == [
        (f"q{n}", f"{n}", None) for n in range(4)
    ]


def test_deranged_responses_are_the_donor_s(items: pl.DataFrame) -> None:
    examples = build_examples(items, ["none"], ["irrelevant"], "derangement", seed=0)
    own = dict(items.select("item_id", "index").iter_rows())
    for row in examples.iter_rows(named=True):
        assert row["response"] == str(own[row["donor_item_id"]])
        assert row["donor_item_id"] != row["item_id"]


def test_the_source_s_own_irrelevant_responses_have_no_donor(items: pl.DataFrame) -> None:
    examples = build_examples(items, ["none"], ["irrelevant"], "release", seed=0)
    assert examples.select("response", "donor_item_id").rows() == [
        (f"{n} shuffled", None) for n in range(4)
    ]


def test_an_example_is_known_by_instruction_and_response_alone(items: pl.DataFrame) -> None:
    examples = build_examples(items, None, BOTH, "derangement", seed=0)
    other = items.with_columns(benchmark=pl.lit("b"), item_id=pl.col("item_id") + "x")
    again = build_examples(other, None, ["correct"], "derangement", seed=0)
    assert examples["example_id"].n_unique() == examples.height
    assert set(again["example_id"]) <= set(examples["example_id"])


def test_an_empty_response_is_an_example_and_a_missing_one_is_none() -> None:
    items = items_of(none=["", None, "2", "3"])
    examples = build_examples(items, None, ["correct"], "derangement", seed=0)
    assert examples.select("index", "response").rows() == [(0, ""), (2, "2"), (3, "3")]


def test_an_item_without_a_style_neither_gives_nor_receives_it() -> None:
    items = items_of(none=["0", None, "2", "3"])
    examples = build_examples(items, None, ["irrelevant"], "derangement", seed=0)
    assert examples["index"].to_list() == [0, 2, 3]
    assert items["item_id"][1] not in examples["donor_item_id"]


def test_styles_are_listed_in_their_order(items: pl.DataFrame) -> None:
    assert available_styles(items) == ["none", "detailed"]
    assert available_styles(items, "irrelevant") == ["none"]


def test_no_items_are_no_examples(items: pl.DataFrame) -> None:
    assert build_examples(items.clear(), None, BOTH, "derangement", seed=0).is_empty()


def test_styles_of_a_matched_length_have_no_counterpart_among_a_source_s_own() -> None:
    items = items_of(
        none=[f"{n}" for n in range(4)],
        none_irrelevant=[f"{n} shuffled" for n in range(4)],
        none_padded=[f"{n}, all in all" for n in range(4)],
    )
    examples = build_examples(items, None, BOTH, "release", seed=0)
    assert examples.group_by("style", "relevance").len().sort("style", "relevance").rows() == [
        ("none", "correct", 4),
        ("none", "irrelevant", 4),
        ("none_padded", "correct", 4),
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"styles": ["simplified"]},
            "'sums' has no .* style 'simplified': choose from none, detail",
        ),
        ({"styles": ["detaild"]}, "no style 'detaild': did you mean 'detailed'"),
        ({"relevances": ["doubtful"]}, "no relevance 'doubtful'"),
        (
            {"styles": ["detailed"], "irrelevant": "release"},
            "'sums' comes without irrelevant responses of the style 'detailed'.*derangement",
        ),
    ],
)
def test_what_the_items_lack_is_refused(
    settings: dict[str, Any], message: str, items: pl.DataFrame
) -> None:
    usual = {"styles": None, "relevances": BOTH, "irrelevant": "derangement", "seed": 0}
    with pytest.raises(DataError, match=message):
        build_examples(items, **{**usual, **settings})


def test_items_of_two_benchmarks_are_refused(items: pl.DataFrame) -> None:
    both = pl.concat([items, items.with_columns(benchmark=pl.lit("b"))])
    with pytest.raises(DataError, match="several benchmarks .b, sums."):
        build_examples(both, None, BOTH, "derangement", seed=0)


@pytest.mark.parametrize("how", ["first", "random"])
def test_ten_more_items_leave_every_earlier_example_as_it_was(how: Any) -> None:
    items = items_of(60, detailed=[f"{n}" * (n % 7 + 1) for n in range(60)])
    small, large = (
        build_examples(sample_items(items, size, how, 5), None, BOTH, "derangement", 5, how)
        for size in (20, 30)
    )
    assert large.height == small.height + 20
    assert set(small["example_id"]) <= set(large["example_id"])


def test_the_paper_s_examples_can_be_deranged_in_no_time() -> None:
    folder = Path(__file__).resolve().parents[2] / "../shared/layer-gradient"
    if not folder.is_dir():
        pytest.skip(f"needs the real data in {folder}, beside the project")
    items = read_items(BenchmarkConfig(name="strategyqa", source="release", path=str(folder)))
    examples = build_examples(items, None, BOTH, "derangement", seed=0)
    assert examples.height == 3000
    answer = dict(items.select("item_id", "answer").iter_rows())
    drawn = examples.filter(relevance="irrelevant").select("item_id", "donor_item_id")
    assert all(answer[item] != answer[donor] for item, donor in drawn.iter_rows())
    correct, irrelevant = (
        examples.filter(style="detailed", relevance=relevance)["response"].str.len_chars().mean()
        for relevance in BOTH
    )
    assert irrelevant == pytest.approx(correct, rel=0.03)


def test_shuffled_sentences_have_no_single_donor() -> None:
    texts = [f"First comes {n}. Then comes {n} again. Last comes {n} too." for n in range(4)]
    items = items_of(detailed=texts)
    examples = build_examples(items, None, BOTH, "sentence_shuffle", seed=0)
    assert examples.schema == EXAMPLE_SCHEMA
    assert examples["donor_item_id"].null_count() == examples.height == 8
    drawn = examples.filter(pl.col("relevance") == "irrelevant")["response"].to_list()
    assert all(f" {n} " not in text for n, text in enumerate(drawn))


def preferences() -> pl.DataFrame:
    """Three items, the second of which has no rejected response; the first has a context."""
    table = pl.DataFrame(
        {
            "instruction": ["q", "q", "r"],
            "answer": [None] * 3,
            "rationale": [None] * 3,
            "given": ["good", "good", "fine"],
            "rejected": ["bad", None, "worse"],
            "context": ['{"joined": true}', None, None],
        },
        schema_overrides=TEXT,
    )
    columns = {
        ("given", relevance): name
        for relevance, name in (("correct", "given"), ("rejected", "rejected"))
    }
    return build_items(table, "pairs", None, columns)


def test_rejected_responses_are_taken_only_where_asked_for_and_never_as_irrelevant() -> None:
    items = preferences()
    usual = build_examples(items, None, BOTH, "derangement", seed=0)
    assert not usual["response"].is_in(["bad", "worse"]).any()
    every = build_examples(items, None, [*BOTH, "rejected"], "derangement", seed=0)
    assert every.filter(pl.col("relevance") != "rejected").equals(usual)
    rejected = every.filter(pl.col("relevance") == "rejected")
    assert rejected.select("index", "style", "response", "donor_item_id").rows() == [
        (0, "given", "bad", None),
        (2, "given", "worse", None),
    ]


def test_without_any_rejected_response_there_is_nothing_to_measure(items: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="no rejected responses: add `correct`"):
        build_examples(items, None, ["rejected"], "derangement", seed=0)
    both = build_examples(items, None, ["correct", "rejected"], "derangement", seed=0)
    assert set(both["relevance"]) == {"correct"}


def test_a_context_is_part_of_an_examples_identity_and_goes_to_every_response() -> None:
    examples = build_examples(preferences(), None, BOTH, "derangement", seed=0)
    plain = examples.filter(pl.col("context").is_null())
    assert plain["example_id"].to_list() == [
        content_hash(*pair) for pair in plain.select("instruction", "response").iter_rows()
    ]
    with_context = examples.filter(pl.col("context").is_not_null())
    assert with_context.select("index", "relevance").rows() == [(0, "correct"), (0, "irrelevant")]
    # The first two items have the same texts, and another context.
    correct = examples.filter(pl.col("relevance") == "correct")
    assert correct["example_id"].n_unique() == 3
