"""Find the models of a study, each with the base and the reading that its settings give it."""

from __future__ import annotations

from gradpipe.models.find import find_model
from gradpipe.models.source import ModelSource
from gradpipe.studies.study import Study


def find_study_model(study: Study, name: str) -> ModelSource:
    """Return the pinned source of one of a study's models, as ``find_model`` does."""
    config = study.model(name)
    base = study.model(config.base) if config.base is not None else None
    return find_model(
        config.id,
        config.revision,
        base=(base.id, base.revision) if base is not None else None,
        adapter=config.adapter,
    )
