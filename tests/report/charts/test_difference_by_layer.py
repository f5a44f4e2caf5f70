"""The scale of relative differences: small ones look small."""

from typing import Any

from gradpipe.report.charts.kinds.difference_by_layer import DIFFERENCE_BY_LAYER
from gradpipe.report.charts.parts import specification


def scales_of(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        layer["encoding"]["y"]["scale"]
        for layer in spec["spec"]["layer"]
        if "y" in layer["encoding"]
    ]


def test_relative_differences_start_on_one_scale_from_zero_for_all_projections() -> None:
    figure = DIFFERENCE_BY_LAYER.figure
    assert figure is not None
    assert (DIFFERENCE_BY_LAYER.log, figure.log, figure.scales) == (False, False, True)
    spec = specification(DIFFERENCE_BY_LAYER.draw(["none"], log=figure.log))
    assert "resolve" not in spec
    assert [scale.get("zero") for scale in scales_of(spec)] == [True] * len(scales_of(spec))
    assert len(scales_of(spec)) > 1
