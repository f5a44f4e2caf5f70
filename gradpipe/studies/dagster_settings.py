"""Settings of a study about Dagster alone: they change no number and no word of the report."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gradpipe.fields import Number

#: What Dagster accepts as the key and as the value of an asset's tag.
_TAG_KEY = re.compile(r"([A-Za-z0-9_.-]{1,63}/)?[A-Za-z0-9_.-]{1,63}")
_TAG_VALUE = re.compile(r"[A-Za-z0-9_.-]{0,63}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
#: Starts the tags that Dagster itself sets.
_RESERVED = ("dagster/", ".dagster/")
#: The settings in this file, by their names in a study.
DAGSTER_SETTINGS = ("automation", "owners", "tags", "freshness_days")


def _require_owner(owner: str) -> str:
    if not (_EMAIL.fullmatch(owner) or re.fullmatch(r"team:\S.*", owner)):
        raise ValueError(
            f"{owner!r} is not an owner: use an e-mail address, or a team such as team:ml"
        )
    return owner


def _require_tags(tags: dict[str, str]) -> dict[str, str]:
    for key, value in tags.items():
        if not _TAG_KEY.fullmatch(key) or key.startswith(_RESERVED):
            raise ValueError(
                f"{key!r} is not the key of a tag: use at most 63 letters, digits and _ . -, and "
                "another namespace than dagster/"
            )
        if not _TAG_VALUE.fullmatch(value):
            raise ValueError(
                f"{value!r} is not the value of a tag: use at most 63 letters, digits and _ . -"
            )
    return tags


Automation = Annotated[
    bool | Literal["nightly"],
    Field(
        description=(
            "Whether the daemon computes what is missing: as soon as it notices (true), "
            "``nightly``, or never (false)."
        )
    ),
]
Owners = Annotated[
    tuple[Annotated[str, AfterValidator(_require_owner)], ...],
    Field(
        description="The owners of the assets in Dagster: e-mail addresses, or ``team:NAME``.",
    ),
]
Tags = Annotated[
    dict[str, str],
    AfterValidator(_require_tags),
    Field(description="Tags of the assets in Dagster, such as ``domain: research``."),
]
FreshnessDays = Annotated[
    Number | None,
    Field(
        ge=0.01,
        le=3650,
        description=(
            "Days after which Dagster shows the report as overdue unless it is materialized; by "
            "default it never does."
        ),
    ),
]
