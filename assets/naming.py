"""What a study's assets, jobs and partitions are called, and how they are tagged, in Dagster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from assets.dagster_workarounds.pool_slots import GPU
from assets.partitions import WORKSPACE_PARTITIONS, StudyPartitions
from assets.stage_run import ASSET_GROUP


@dataclass(frozen=True, kw_only=True)
class Naming:
    """The names of one study in a code location, by default those of the workspace's own study.

    ``prefix`` starts the keys of its assets. ``pool`` limits the extractions at the same time.
    ``owners`` and ``tags`` are those of every asset, ``op_tags`` those of an asset's step by its
    name, for example for Kubernetes. ``condition`` is the assets' automation condition.
    ``freshness`` says when the report is overdue.
    """

    prefix: tuple[str, ...] = ()
    group: str = ASSET_GROUP
    pool: str | None = GPU
    owners: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    op_tags: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    condition: dg.AutomationCondition[dg.AssetKey] | None = None
    freshness: dg.FreshnessPolicy | None = None
    partitions: StudyPartitions = WORKSPACE_PARTITIONS

    def key(self, stage: str) -> dg.AssetKey:
        """The key of a stage's asset."""
        return dg.AssetKey([*self.prefix, stage])

    def name(self, base: str) -> str:
        """The name of a job, a sensor, a schedule or an op: letters, digits and underscores."""
        return "__".join([*(re.sub(r"\W", "_", part) for part in self.prefix), base])


#: The names of the workspace's own study.
WORKSPACE_NAMES = Naming()
