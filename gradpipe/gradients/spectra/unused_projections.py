"""The error for projections on whose outputs the loss does not depend."""

from __future__ import annotations

from gradpipe.errors import ModelError


class UnusedProjections(ModelError):
    """Some projections have no gradient, since the loss does not depend on their outputs.

    ``places`` are their layers and names.
    """

    def __init__(self, places: set[tuple[int, str]]) -> None:
        layer = min(layer for layer, _ in places)
        super().__init__(
            f"The loss does not depend on every projection of layer {layer}: text does not pass "
            "them, or the layer uses the keys and values of another layer: remove them from "
            "`projections`."
        )
        self.places = places
