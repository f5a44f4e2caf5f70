"""Which models of a study are tuned from which, by their names."""

import re
from collections.abc import Sequence

#: Parts of a name that mark a tuned model, and parts that only name a format or stage.
_TUNED = {"it", "instruct", "chat"}
_NEUTRAL = {"hf", "base", "pt"}


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
