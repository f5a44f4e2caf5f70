"""Lines through layers of which some are without a projection."""

import re

import polars as pl
import pytest
import vl_convert

import gradpipe as gp

STYLES, PROJECTIONS = ("none", "detailed"), ("q", "v")


def svg_of(layers: list[int]) -> str:
    """The chart of two styles' curves at some layers."""
    rows = [
        {"model": "m", "benchmark": "b", "family": "math", "relevance": "correct", "examples": 4}
        | {"style": style, "projection": projection, "statistic": "nuclear_norm", "layer": layer}
        | {"mean": 5.0 + layer + place, "sd": 1.0}
        for place, style in enumerate(STYLES)
        for projection in PROJECTIONS
        for layer in layers
    ]
    svg: str = vl_convert.vegalite_to_svg(gp.charts.curves(pl.DataFrame(rows)).to_dict())
    return svg


def points_of_lines(svg: str) -> list[int]:
    """How many points each drawn line has, in their order."""
    lines = re.findall(r'<path d="([^"]+)" stroke="#[0-9A-F]+" stroke-width="2"', svg)
    return [len(re.findall("[ML]", line)) for line in lines]


def dots_of(svg: str) -> int:
    """How many dots are visible."""
    return len(
        re.findall(r'<path transform="[^"]+" d="M2[^"]+" fill="[^"]+"[^>]* opacity="1"', svg)
    )


@pytest.mark.parametrize(
    ("layers", "stretches", "dots"),
    [
        ([0, 1, 2, 3], [4], 0),
        ([0, 1, 2, 5, 7, 8], [3, 1, 2], 1),
        ([3, 7, 11], [1, 1, 1], 3),
    ],
)
def test_a_line_is_interrupted_where_layers_are_without_the_projection(
    layers: list[int], stretches: list[int], dots: int
) -> None:
    svg = svg_of(layers)
    assert points_of_lines(svg) == stretches * len(STYLES) * len(PROJECTIONS)
    assert dots_of(svg) == dots * len(STYLES) * len(PROJECTIONS)
