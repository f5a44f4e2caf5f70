"""A study as a Dagster component: the type ``gradpipe.dagster.Study`` of a ``defs.yaml``."""

from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from assets.dagster_workarounds.pool_slots import GPU
from assets.stage_run import ASSET_GROUP
from assets.study_definitions import build_study_definitions, read_study

#: What `dg scaffold defs` writes: a study that runs in a minute, to be changed.
_EXAMPLE = {"models": ["demo"], "benchmarks": ["mini_maths"], "sample": 4}


class StudyScaffolder(dg.Scaffolder[Any]):
    """Writes a small study, named like its folder."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Write the component's file."""
        attributes = {"study": {"name": request.target_path.name, **_EXAMPLE}}
        dg.scaffold_component(request, attributes)


@dg.scaffold_with(StudyScaffolder)
@dataclass
class StudyComponent(dg.Component, dg.Resolvable):
    """A study of gradpipe: what examples do to the layers of language models.

    ``study`` is the study itself, the path of its YAML file, or the name of one that ships; its
    relative paths start at the component's folder. All other attributes are the arguments of
    ``gradpipe.dagster.build_study_definitions``.
    """

    study: dict[str, Any] | str
    key_prefix: list[str] | None = None
    workspace: str | None = None
    group_name: str = ASSET_GROUP
    pool: str | None = GPU
    owners: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    op_tags: dict[str, dict[str, Any]] = field(default_factory=dict)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The definitions of the study."""
        return build_study_definitions(
            read_study(self.study, context.path),
            key_prefix=self.key_prefix,
            workspace=self.workspace,
            group_name=self.group_name,
            pool=self.pool,
            owners=self.owners,
            tags=self.tags,
            op_tags=self.op_tags,
        )
