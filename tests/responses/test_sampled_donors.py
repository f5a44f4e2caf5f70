"""Irrelevant responses to items with several samples."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradpipe.benchmarks.items import SamplingMethod
from gradpipe.benchmarks.samples import base_item, sample_id, sample_number
from gradpipe.responses.build import build_examples
from gradpipe.responses.derangement import irrelevant_responses
from gradpipe.responses.sampled_donors import draw_donors, draw_shuffles
from gradpipe.responses.sentence_shuffle import shuffled_responses
from tests.generators.conftest import make_items

ITEMS = make_items(24)["item_id"].to_list()


def responses(present: list[tuple[int, int]]) -> pl.DataFrame:
    """The samples ``present``, as (item, sample): texts of different lengths."""
    rows = [
        {
            "item_id": sample_id(ITEMS[item], sample),
            "index": item,
            "instruction": f"Question {item}?",
            "answer": str(item),
            "text": f"First {'so ' * (7 * item % 5)}. Then {sample}. It is {item}.",
        }
        for item, sample in present
    ]
    return pl.DataFrame(rows)


def bases(drawn: pl.DataFrame) -> pl.DataFrame:
    return drawn.with_columns(
        sample_number(),
        sample_number("donor_item_id").alias("donor_sample"),
        base_item(),
        base_item("donor_item_id"),
    )


@pytest.mark.parametrize("how", ["first", "random"])
def test_without_samples_nothing_changes(how: SamplingMethod) -> None:
    rows = responses([(item, 0) for item in range(12)])
    arguments: Any = (rows, "sums", "detailed", 3, how)
    assert draw_donors(*arguments).equals(irrelevant_responses(*arguments))
    assert (
        draw_shuffles(*arguments)
        .sort("item_id")
        .equals(shuffled_responses(*arguments).sort("item_id"))
    )


@settings(max_examples=40, deadline=None)
@given(
    st.sets(st.tuples(st.integers(0, 11), st.integers(0, 3)), min_size=1).filter(
        lambda present: len({item for item, _ in present}) > 3
    )
)
def test_no_sample_receives_its_own_items_text_and_every_text_is_given(
    present: set[tuple[int, int]],
) -> None:
    rows = responses(sorted(present))
    drawn = bases(draw_donors(rows, "sums", "detailed", 0))
    assert (drawn["item_id"] != drawn["donor_item_id"]).all()
    assert (drawn["sample"] == drawn["donor_sample"]).all()
    # All samples of an item have one donor, and each text is given once.
    assert drawn.select("item_id", "donor_item_id").unique().height == drawn["item_id"].n_unique()
    assert sorted(drawn["text"]) == sorted(rows["text"])


@pytest.mark.parametrize("how", ["first", "random"])
def test_more_samples_leave_the_earlier_responses_as_they_were(how: SamplingMethod) -> None:
    # Item 4 has no usable first response.
    first = [(item, 0) for item in range(24) if item != 4]
    one = draw_donors(responses(first), "sums", "detailed", 0, how)
    more = responses([*first, *((item, 1) for item in range(24))])
    two = draw_donors(more, "sums", "detailed", 0, how)
    # Those of the full blocks; the last one would change with a larger sample of items too.
    assert one.head(20).join(two, on=["item_id", "donor_item_id", "text"], how="anti").height == 0


def test_sentences_are_shuffled_among_samples_of_one_number() -> None:
    present = [(item, sample) for item in range(12) for sample in range(2)]
    drawn = draw_shuffles(responses([*present, (3, 2)]), "sums", "detailed", 0)
    assert sorted(drawn["item_id"]) == sorted(
        sample_id(ITEMS[item], sample) for item, sample in present
    )
    first = drawn.filter(sample_number() == 0)
    alone = shuffled_responses(responses(present[::2]), "sums", "detailed", 0)
    assert first.sort("item_id").equals(alone.sort("item_id"))


def test_examples_of_samples_stand_with_their_item() -> None:
    texts = [
        {"style": "detailed", "relevance": "correct", "text": f"Sample {n}."} for n in range(24)
    ]
    items = make_items(12)
    table = pl.concat([items, items.with_columns(pl.format("{}#2", "item_id").alias("item_id"))])
    table = table.with_columns(pl.Series("responses", [[text] for text in texts]))
    built = build_examples(table, None, ["correct", "irrelevant"], "derangement", 0)
    assert built["index"].to_list() == sorted(built["index"])
    assert built["item_id"].head(4).to_list() == [
        sample_id(items["item_id"][0], sample) for sample in (0, 0, 1, 1)
    ]
    assert built.height == 48
    own = built.filter(pl.col("relevance") == "irrelevant")
    assert own.filter(base_item() == base_item("donor_item_id")).is_empty()
