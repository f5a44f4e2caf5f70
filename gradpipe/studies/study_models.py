"""Find the models of a study, each with the tokenizer that its settings or its base give it."""

from __future__ import annotations

from gradpipe.models.find import find_model
from gradpipe.models.source import ModelSource
from gradpipe.studies.study import Study


def find_study_model(study: Study, name: str, *, weights: bool = True) -> ModelSource:
    """Return the pinned source of one of a study's models, as ``find_model`` does."""
    config = study.model(name)
    bases = [study.model(base) for base, tuned in study.model_pairs() if tuned == name]
    return find_model(
        config.id,
        config.revision,
        tokenizer=config.tokenizer,
        bases=[
            base.tokenizer or (f"{base.id}@{base.revision}" if base.revision else base.id)
            for base in bases
        ],
        weights=weights,
    )
