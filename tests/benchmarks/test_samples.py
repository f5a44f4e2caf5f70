"""Samples of items: their names, and what they share."""

import polars as pl
from polars.testing import assert_frame_equal

from gradpipe.benchmarks.samples import base_item, sample_id, sample_number, with_samples
from tests.generators.conftest import make_items


def test_a_sample_is_named_after_its_item() -> None:
    items = make_items(2)
    ids = [sample_id(item, sample) for item in items["item_id"] for sample in (0, 1, 11)]
    frame = pl.DataFrame({"item_id": ids}).select(base_item(), sample_number())
    assert frame["item_id"].to_list() == [item for item in items["item_id"] for _ in range(3)]
    assert frame["sample"].to_list() == [0, 1, 11] * 2


def test_an_item_of_the_users_own_keeps_its_name() -> None:
    names = ["a#2", "item#3", "0123456789abcdef0123#x", "7", None]
    frame = pl.DataFrame({"item_id": names})
    assert frame.select(base_item())["item_id"].to_list() == names
    assert frame.select(sample_number())["sample"].to_list() == [0] * 5


def test_further_samples_share_all_but_the_ready_made_responses() -> None:
    items = make_items(2, simplified="Easily.")
    assert with_samples(items, 1).equals(items)
    three = with_samples(items, 3)
    assert three.schema == items.schema
    assert three["item_id"].to_list() == [
        sample_id(item, sample) for item in items["item_id"] for sample in range(3)
    ]
    assert three["index"].to_list() == [0, 0, 0, 1, 1, 1]
    assert three["responses"].list.len().to_list() == [1, 0, 0] * 2
    assert_frame_equal(three.filter(sample_number() == 0), items)
    assert with_samples(items.clear(), 3).is_empty()
