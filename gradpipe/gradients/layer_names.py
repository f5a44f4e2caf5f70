"""Paths of the linear layers inside a decoder layer, for models with unknown names."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_serializer

LayerPath = Annotated[str, Field(min_length=1)]


def _path(role: str) -> Any:
    return Field(
        default=None,
        description=f"The path of the linear layer of ``{role}`` inside a decoder layer.",
    )


class LayerNames(BaseModel):
    """Paths inside a decoder layer of linear layers with names that gradpipe does not know.

    A fused layer is named for each of its roles.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    q: LayerPath | None = _path("q")
    k: LayerPath | None = _path("k")
    v: LayerPath | None = _path("v")
    o: LayerPath | None = _path("o")
    gate: LayerPath | None = _path("gate")
    up: LayerPath | None = _path("up")
    down: LayerPath | None = _path("down")
    cross_q: LayerPath | None = _path("cross_q")
    cross_k: LayerPath | None = _path("cross_k")
    cross_v: LayerPath | None = _path("cross_v")
    cross_o: LayerPath | None = _path("cross_o")
    q_a: LayerPath | None = _path("q_a")
    q_b: LayerPath | None = _path("q_b")
    kv_a: LayerPath | None = _path("kv_a")
    kv_b: LayerPath | None = _path("kv_b")
    router: LayerPath | None = _path("router")
    shared_gate: LayerPath | None = _path("shared_gate")
    shared_up: LayerPath | None = _path("shared_up")
    shared_down: LayerPath | None = _path("shared_down")

    @property
    def paths(self) -> dict[str, str]:
        """The given paths by role."""
        return {role: path for role, path in self if path is not None}

    @model_serializer
    def _given(self) -> dict[str, str]:
        return self.paths

    def overridden_by(self, other: LayerNames) -> LayerNames:
        """Return these names updated with the given paths of ``other``."""
        return LayerNames(**{**self.paths, **other.paths})
