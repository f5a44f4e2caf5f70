"""Which models of a study are tuned from which, by their names."""

import re
from collections.abc import Sequence

#: Parts of a name that mark a tuned model, and those that name nothing but a format or a stage.
_TUNED = {"it", "instruct", "chat"}
_IDLE = {"hf", "base", "pt"}


def twins_of(models: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of (base, tuned): each tuned model and the pre-trained one of the same name.

    Compared without case, organisation, revision and the words that mark tuning: ``gemma-2-2b`` and
    ``gemma-2-2b-it``, ``Llama-2-7b-hf`` and ``Llama-2-7b-chat-hf``. Where several bases have the
    same name, that of the same organisation is taken, and none where that does not tell.
    """
    pairs = []
    for tuned in models:
        if not _words(tuned) & _TUNED:
            continue
        alike = [m for m in models if not _words(m) & _TUNED and _stem(m) == _stem(tuned)]
        own = [model for model in alike if _organisation(model) == _organisation(tuned)]
        bases = own or alike
        if len(bases) == 1:
            pairs.append((bases[0], tuned))
    return pairs


def _parts(model: str) -> list[str]:
    return re.split(r"[-_]", model.split("@", maxsplit=1)[0].rstrip("/").split("/")[-1].lower())


def _words(model: str) -> set[str]:
    return set(_parts(model))


def _stem(model: str) -> list[str]:
    return [part for part in _parts(model) if part not in _TUNED | _IDLE]


def _organisation(model: str) -> str:
    return model.split("@", maxsplit=1)[0].rstrip("/").rpartition("/")[0].lower()
