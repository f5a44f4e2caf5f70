"""Which styles are compared with which, and in which order styles are sorted."""

import polars as pl

from gradpipe.styles import compared_styles, own_style_pairs, style_enum, uncut_style


def test_own_styles_are_compared_with_one_another_and_with_reasoning_styles() -> None:
    styles = ["b", "detailed", "none", "a", "a_cut", "detailed_cut", "article"]
    assert compared_styles(styles) == [
        *(("b", "detailed"), ("b", "none"), ("b", "a"), ("detailed", "a"), ("none", "a"))
    ]
    assert compared_styles(["none", "simplified", "detailed"]) == []
    assert compared_styles([*"fedcba"]) == [*zip("fedcb", "edcba", strict=True)]


def test_cut_styles_are_compared_where_both_are_there() -> None:
    cut = ["a", "b", "c", "a_cut", "b_cut", "detailed", "detailed_cut"]
    pairs = own_style_pairs(cut, ["c", "b", "a"])
    assert [pair for pair in pairs if pair[0].endswith("_cut")] == [("b_cut", "a_cut")]
    assert [uncut_style(style, cut) for style in ("a_cut", "detailed_cut", "d_cut", "a")] == [
        *("a", None, None, None)
    ]


def test_own_styles_are_sorted_by_name_behind_the_built_in_ones() -> None:
    styles = pl.Series(["z", "detailed", None, "a", "none"])
    assert styles.cast(style_enum(styles)).sort().to_list() == [
        *(None, "none", "detailed", "a", "z")
    ]
