"""Find the models of a study, each with the tokenizer and the base that its settings give it."""

from __future__ import annotations

from collections.abc import Iterator

from gradpipe.models.find import find_model
from gradpipe.models.source import ModelSource
from gradpipe.studies.study import Study


def find_study_model(study: Study, name: str, *, weights: bool = True) -> ModelSource:
    """Return the pinned source of one of a study's models, as ``find_model`` does."""
    config = study.model(name)
    base = study.model(config.base) if config.base is not None else None
    return find_model(
        config.location,
        config.revision,
        base=(base.location, base.revision) if base is not None else None,
        adapter=config.adapter,
        tokenizer=config.tokenizer,
        bases=_tokenizers_of_bases(study, name),
        # Checkpoints of a series were looked at when they were listed.
        weights=weights and config.checkpoint is None,
    )


def _tokenizers_of_bases(study: Study, name: str) -> Iterator[str]:
    """Yield the names of the tokenizers of a model's bases; only looked up when one is needed."""
    given = study.model(name).base
    pairs = [(given, name)] if given else study.model_pairs()
    for base in (study.model(base) for base, tuned in pairs if tuned == name):
        revision = f"@{base.revision}" if base.revision else ""
        yield base.tokenizer or base.location + revision
