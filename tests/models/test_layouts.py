"""Columns of a layer's outputs: one after the other, or group by group."""

import torch

from gradpipe.models.layouts import OutputColumns, layouts

NUMBERS = torch.arange(24).expand(2, 24)


def test_the_default_is_the_whole_layer() -> None:
    assert OutputColumns().whole
    assert OutputColumns().take(NUMBERS) is NUMBERS


def test_columns_are_taken_from_every_group_and_lie_side_by_side() -> None:
    assert OutputColumns(1, 4, 8).take(NUMBERS)[1].tolist() == [4, 5, 6, 7]
    assert OutputColumns(3, 6, 8).take(NUMBERS)[0].tolist() == [6, 7, 14, 15, 22, 23]
    assert not OutputColumns(1, 4, 8).whole
    assert not OutputColumns(2, 0, 8).whole


def test_every_layout_holds_every_column_once() -> None:
    found = list(layouts({"q": 16, "k": 4, "v": 4}))
    assert len(found) == 3 * 6
    assert len({tuple(sorted(layout.items(), key=str)) for layout in found}) == len(found)
    for layout in found:
        columns = torch.cat([layout[role].take(NUMBERS[0]) for role in "qkv"])
        assert sorted(columns.tolist()) == list(range(24))
        assert [layout[role].take(NUMBERS[0]).numel() for role in "qkv"] == [16, 4, 4]


def test_the_plainest_layout_comes_first() -> None:
    first = next(layouts({"q": 16, "k": 4, "v": 4}))
    assert first == {
        "q": OutputColumns(1, 0, 16),
        "k": OutputColumns(1, 16, 20),
        "v": OutputColumns(1, 20, 24),
    }
