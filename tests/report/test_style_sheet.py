"""A study's own styles are shown in its order, with its labels and colors of their own."""

from gradpipe.report.chart_data import ratio_pairs
from gradpipe.report.style import (
    OWN_STYLE_COLORS,
    STYLE_COLORS,
    in_order,
    style_colors,
    style_label,
)
from gradpipe.report.style_sheet import StyleSheet, lightened, showing

SHEET = StyleSheet.of(
    ("b", "detailed", "a"), {"a": "Teacher A"}, {"b": "#0A0A40", "detailed": "#123456"}
)


def test_a_sheet_holds_inside_its_block_only() -> None:
    with showing(SHEET):
        assert in_order("style", ["a", "none", "detailed", "b", "z"]) == [
            *("b", "detailed", "a", "none", "z")
        ]
        assert [style_label(name) for name in ("a", "b")] == ["Teacher A", "b"]
        assert ratio_pairs(["a", "b"]) == [("b", "a")]
    assert in_order("style", ["b", "a", "detailed"]) == ["detailed", "a", "b"]
    assert style_label("a") == "a"


def test_a_style_has_one_color_that_no_other_has() -> None:
    with showing(SHEET):
        colors = style_colors(["none", "a", "b", "detailed"])
        assert style_colors(["a"]) == {"a": colors["a"]}
    assert (colors["b"], colors["detailed"]) == ("#0A0A40", "#123456")
    assert colors["none"] == STYLE_COLORS["none"]
    assert len(set(colors.values())) == 4
    many = style_colors([f"teacher_{n}" for n in range(len(OWN_STYLE_COLORS))])
    assert list(many.values()) == list(OWN_STYLE_COLORS)


def test_dark_colors_are_lighter_on_dark_paper_and_light_ones_as_they_are() -> None:
    assert lightened("#F0E442") == "#F0E442"
    assert f"stroke: {lightened('#0A0A40')}" in SHEET.dark_rules()
    assert int(lightened("#0A0A40")[1:3], 16) > 0x60
    assert StyleSheet().dark_rules() == ""
