"""Which tokens a local model may sample: ``top_k``, ``top_p`` and ``min_p`` of a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from gradpipe.errors import StudyError

#: The filters in the order in which transformers applies them.
_FILTERS = {"top_k": TopKLogitsWarper, "top_p": TopPLogitsWarper, "min_p": MinPLogitsWarper}


def token_filters(fields: Mapping[str, Any]) -> list[Any]:
    """Return the logits processors of the filters among ``fields``; raises StudyError.

    Values that let every token pass, such as ``top_k: 0``, have none.
    """
    filters = []
    for name, make in _FILTERS.items():
        value = fields.get(name)
        if value is None or (name == "top_k" and value in (0, -1)) or (name, value) == ("min_p", 0):
            continue
        try:
            filters.append(make(value))
        except (ValueError, TypeError) as error:
            raise StudyError(
                f"The generator's `{name}` is invalid ({value!r}): set a positive whole number as "
                "top_k, and numbers from 0 to 1 as top_p and min_p."
            ) from error
    return filters
