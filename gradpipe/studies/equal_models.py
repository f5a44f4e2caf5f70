"""Find models of a study that have the same weights under different names."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

from gradpipe.errors import GradpipeError
from gradpipe.models.equal_weights import equal_weights
from gradpipe.models.fingerprint import pin
from gradpipe.models.source import ModelSource, resolve_model
from gradpipe.studies.model_config import ModelConfig
from gradpipe.studies.study import Study
from gradpipe.system.hashing import content_hash

#: The latest answers of this process: when, and the groups, by the hash of a study's models.
_latest: dict[str, tuple[float, list[list[str]]]] = {}


def find_equal_models(study: Study, max_age: float = 0.0) -> list[list[str]]:
    """Return groups of models with the same weights, by name; see ``equal_weights``.

    A model that the study has several times on purpose, under different settings, counts once.
    Unavailable models are left out. With hundreds of models this takes seconds; an answer that this
    process gave less than ``max_age`` seconds ago is given again.
    """
    key = content_hash([model.model_dump(mode="json") for model in study.models])
    now = time.monotonic()
    answered, groups = _latest.get(key, (-max_age - now, []))
    if now - answered >= max_age:
        groups = _find(study)
        _latest[key] = now, groups
    return groups


def _find(study: Study) -> list[list[str]]:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(_source, study.models))
    models = {model.name: model for model in study.models}
    sources = {name: source for name, source in zip(models, found, strict=True) if source}
    # Adapters are compared with those of the same base.
    of_base: dict[ModelSource | None, dict[str, ModelSource]] = {}
    for name, source in sources.items():
        of_base.setdefault(source.base, {})[name] = source
    groups = []
    for group in chain.from_iterable(map(equal_weights, of_base.values())):
        first: dict[ModelSource, ModelConfig] = {}
        distinct = [
            name
            for name in group
            if _is_alike(models[name], first.setdefault(sources[name], models[name]))
        ]
        if len(distinct) > 1:
            groups.append(distinct)
    return groups


def _is_alike(model: ModelConfig, first: ModelConfig) -> bool:
    """Whether two entries for one source are equal but for their names, so not on purpose."""
    return model.model_copy(update={"name": first.name}) == first


def _source(model: ModelConfig) -> ModelSource | None:
    if model.record is not None:
        return None
    try:
        return pin(resolve_model(model.location, model.revision))
    except GradpipeError:
        return None
