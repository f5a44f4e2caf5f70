"""What is wrong with the settings of a protocol, as sentences."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from gradpipe.errors import nearest
from gradpipe.gradients.layer_names import LayerNames


def setting_errors(
    error: ValidationError, known: Sequence[str]
) -> list[tuple[tuple[int | str, ...], str]]:
    """Each invalid setting: the keys that lead to it, and a sentence; unknown keys come first.

    ``known`` are the names of a protocol's settings.
    """
    mistakes = sorted(error.errors(), key=lambda mistake: mistake["type"] != "extra_forbidden")
    sentences = []
    for mistake in mistakes:
        place = mistake["loc"]
        setting = ".".join(map(str, place))
        if mistake["type"] == "extra_forbidden":
            names = list(known if len(place) == 1 else LayerNames.model_fields)
            sentence = f"A protocol has no setting {setting!r}: {nearest(str(place[-1]), names)}"
        else:
            message = mistake["msg"].removeprefix("Value error, ")
            sentence = (
                f"The protocol's setting {setting!r} cannot be {mistake['input']!r}: {message}."
            )
        sentences.append((place, sentence))
    return sentences
