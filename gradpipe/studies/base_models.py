"""Which models of a study are tuned from which, as it says or by their names."""

import re
from collections.abc import Iterator, Sequence

from gradpipe.errors import StudyError, nearest
from gradpipe.studies.model_config import ModelConfig
from gradpipe.studies.series_config import SeriesConfig

#: Parts of a name that mark a tuned model, and parts that only name a format or stage.
_TUNED = {"it", "instruct", "chat"}
_NEUTRAL = {"hf", "base", "pt"}


def tuned_pairs(models: Sequence[ModelConfig]) -> list[tuple[str, str]]:
    """Pairs of models, (base, tuned), as their ``base`` says or as their names suggest.

    Only the last step of a series is paired with its base: one claim per checkpoint would be nearly
    the same claim many times, and would make the correction for many claims stricter.
    """
    single = [model for model in models if model.series is None]
    steps = sorted((m for m in models if m.series is not None), key=lambda model: model.step or 0)
    last = {model.series: model for model in steps}
    given = [(m.base, m.name) for m in (*single, *last.values()) if m.base is not None]
    tuned = {name for _, name in given}
    by_name = find_model_pairs([model.name for model in single])
    return given + [pair for pair in by_name if pair[1] not in tuned]


def require_known_bases(models: Sequence[ModelConfig]) -> None:
    """Raise StudyError for the first base that the study does not have; see ``unknown_bases``."""
    for _, error in unknown_bases(models):
        raise error


def unknown_bases(models: Sequence[ModelConfig]) -> Iterator[tuple[int, StudyError]]:
    """The number of each model whose base the study does not have, and the error that says so.

    The base of a series becomes a model of the study, and its steps are not known yet.
    """
    names = {model.name for model in models}
    series = {model.name for model in models if isinstance(model, SeriesConfig)}
    for number, model in enumerate(models):
        if model.base == model.name:
            yield (
                number,
                StudyError(f"The model {model.name!r} cannot be its own base: name another one."),
            )
        elif model.base is None or model.name in series:
            continue
        elif model.base not in names and model.base.rpartition("@")[0] not in series:
            hint = nearest(model.base, sorted(names))
            yield number, StudyError(f"The study has no model {model.base!r}: {hint}")


def find_model_pairs(models: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of models, (base, tuned): each tuned model and the pre-trained one of the same name.

    Names are compared without case, organization, revision and the words that mark tuning:
    ``gemma-2-2b`` and ``gemma-2-2b-it``, ``Llama-2-7b-hf`` and ``Llama-2-7b-chat-hf``. If several
    bases have the same name, the one of the same organization is chosen, or no base if that is
    ambiguous.
    """
    pairs = []
    for tuned in models:
        if not _words(tuned) & _TUNED:
            continue
        candidates = [m for m in models if not _words(m) & _TUNED and _stem(m) == _stem(tuned)]
        same = [m for m in candidates if _organization(m) == _organization(tuned)]
        bases = same or candidates
        if len(bases) == 1:
            pairs.append((bases[0], tuned))
    return pairs


def _parts(model: str) -> list[str]:
    return re.split(r"[-_]", model.split("@", maxsplit=1)[0].rstrip("/").split("/")[-1].lower())


def _words(model: str) -> set[str]:
    return set(_parts(model))


def _stem(model: str) -> list[str]:
    return [part for part in _parts(model) if part not in _TUNED | _NEUTRAL]


def _organization(model: str) -> str:
    return model.split("@", maxsplit=1)[0].rstrip("/").rpartition("/")[0].lower()
