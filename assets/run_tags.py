"""Tags of Dagster runs that say something to their assets."""

import json
from collections.abc import Mapping

import dagster as dg

#: Marks a run that reports on the finished partitions while others are computed.
INTERIM_TAG = {"gradpipe/interim_report": "yes"}
#: The UI shows no tags that begin like this.
_SECONDS = ".dagster/gradpipe_seconds"


def is_interim(context: dg.AssetExecutionContext) -> bool:
    """Whether the current run has that tag."""
    return INTERIM_TAG.items() <= context.run.tags.items()


def seconds_tag(seconds: Mapping[str, float]) -> dict[str, str]:
    """The tag with the seconds that each part of the command took before this run of Dagster."""
    return {_SECONDS: json.dumps(dict(seconds))}


def earlier_seconds(context: dg.AssetExecutionContext) -> dict[str, float]:
    """What that tag says; empty in a run that the Dagster UI or its daemon started."""
    seconds: dict[str, float] = json.loads(context.run.tags.get(_SECONDS, "{}"))
    return seconds
