"""Settings for where a study computes its gradients; results do not depend on them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from gradpipe.errors import StudyError
from gradpipe.fields import Number, Whole

_HOST_AND_PORT = re.compile(r"(?P<host>[^\s:]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")


#: Limit for any cluster resource: a higher value is likely a typo.
MOST = 1_000_000


class RayConfig(BaseModel):
    """The mapping ``ray`` of a study: which cluster, and how many models at a time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str | None = Field(
        default=None,
        min_length=1,
        description=(
            "``auto`` (the cluster that this machine belongs to), HOST:PORT, or ``local`` (a "
            "cluster of this machine alone, for this run); by default RAY_ADDRESS, or else "
            "``local``."
        ),
    )
    actors: Whole | None = Field(
        default=None,
        ge=1,
        le=MOST,
        description=(
            "Models in memory at the same time, one per process; by default one per GPU, or one "
            "per machine without GPUs."
        ),
    )
    cpus: Number | None = Field(
        default=None,
        gt=0,
        le=MOST,
        description=(
            "CPUs per actor; by default one beside a GPU, or its share of a machine without GPUs."
        ),
    )
    gpus: Number | None = Field(
        default=None,
        ge=0,
        le=MOST,
        description="GPUs per actor; by default one if the cluster has any.",
    )
    resources: dict[str, Annotated[Number, Field(gt=0, le=MOST)]] = Field(
        default_factory=dict, description="Custom resources that an actor's machine must offer."
    )

    @field_validator("cpus", "gpus", "resources")
    @classmethod
    def _whole(cls, value: Any, info: Any) -> Any:
        for amount in value.values() if isinstance(value, dict) else (value,):
            if amount is not None and amount > 1 and amount != int(amount):
                raise StudyError(
                    f"ray.{info.field_name} cannot be {amount:g}: above 1, Ray accepts whole "
                    "numbers only."
                )
        return value

    @field_validator("address")
    @classmethod
    def _no_client(cls, value: str | None) -> str | None:
        require_plain_address(value)
        return value


def require_plain_address(address: str | None) -> None:
    """Raise StudyError for an address that the engine does not support."""
    if address and "://" in address:
        raise StudyError(
            f"The Ray address {address!r} is for programs outside of the cluster, which "
            "would lose the run with their connection: start gradpipe on one of the cluster's "
            "machines (`ray job submit` does so) with `address: auto`."
        )
    if address and address not in {"auto", "local"} and not _HOST_AND_PORT.fullmatch(address):
        raise StudyError(
            f"{address!r} is not a valid Ray address: use auto, local, or HOST:PORT of the "
            "cluster's head."
        )
