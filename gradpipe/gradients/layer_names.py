"""Paths of the linear layers inside a decoder layer, for models with unknown names."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_serializer

LayerPath = Annotated[str, Field(min_length=1)]


class LayerNames(BaseModel):
    """Paths inside a decoder layer of linear layers with names that gradpipe does not know.

    A fused layer is named for each of its roles.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    q: LayerPath | None = Field(
        default=None, description="The path of the linear layer of ``q`` inside a decoder layer."
    )
    k: LayerPath | None = Field(
        default=None, description="The path of the linear layer of ``k`` inside a decoder layer."
    )
    v: LayerPath | None = Field(
        default=None, description="The path of the linear layer of ``v`` inside a decoder layer."
    )
    o: LayerPath | None = Field(
        default=None, description="The path of the linear layer of ``o`` inside a decoder layer."
    )
    gate: LayerPath | None = Field(
        default=None, description="The path of the linear layer of ``gate`` inside a decoder layer."
    )
    up: LayerPath | None = Field(
        default=None, description="The path of the linear layer of ``up`` inside a decoder layer."
    )
    down: LayerPath | None = Field(
        default=None, description="The path of the linear layer of ``down`` inside a decoder layer."
    )
    router: LayerPath | None = Field(
        default=None,
        description="The path of the linear layer of ``router`` inside a decoder layer.",
    )
    shared_gate: LayerPath | None = Field(
        default=None,
        description="The path of the linear layer of ``shared_gate`` inside a decoder layer.",
    )
    shared_up: LayerPath | None = Field(
        default=None,
        description="The path of the linear layer of ``shared_up`` inside a decoder layer.",
    )
    shared_down: LayerPath | None = Field(
        default=None,
        description="The path of the linear layer of ``shared_down`` inside a decoder layer.",
    )

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
