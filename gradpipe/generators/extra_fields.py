"""Fields that a study adds to requests: which are refused, and how they are merged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gradpipe.errors import StudyError
from gradpipe.generators.secrets import holds_key

#: Fields of a request that have a setting of their own, or that gradpipe decides, and what to do.
OWN_FIELDS = {
    **{name: f"set the generator's `{name}`" for name in ("model", "temperature", "seed")},
    "messages": "set the generator's `system`, `few_shot` or `prompts`",
    "max_tokens": "set the generator's `max_tokens`",
    "max_completion_tokens": "set the generator's `max_completion_tokens`",
    "n": "set the generator's `samples`",
    "stream": "answers are read whole",
}
#: Fields that a local model can honor, in its sampling and in its chat template.
LOCAL_FIELDS = ("chat_template_kwargs", "top_p", "top_k", "min_p")
#: The further ones of vLLM.
VLLM_FIELDS = (
    *LOCAL_FIELDS,
    *("repetition_penalty", "presence_penalty", "frequency_penalty", "min_tokens"),
    *("stop", "stop_token_ids", "bad_words", "logit_bias", "thinking_token_budget"),
)
# But for fields of requests with similar names, such as prompt_cache_key and stop_token_ids.
_CREDENTIAL = re.compile(
    r"^(key|token|auth|authorization)$|(^|[_-])(secret|password)$|"
    r"(^|[_-])((api|access|secret)[_-]?key|(api|access|auth|bearer|hf)[_-]?token)$"
)


def check_extra_fields(setting: str, fields: Mapping[str, Any]) -> None:
    """Raise StudyError for fields with settings of their own and for keys; no key is repeated."""
    for name in fields:
        if name in OWN_FIELDS:
            raise StudyError(
                f"The generator's `{setting}` may not contain {name!r}: leave it out; "
                f"{OWN_FIELDS[name]}."
            )
    if _holds_credentials(fields):
        raise StudyError(
            f"The generator's `{setting}` contains a key: put it into an environment variable, and "
            "set the generator's `key` to the variable's name."
        )


def check_fields_of_kind(kind: str, fields: Mapping[str, Any]) -> None:
    """Raise StudyError for extra fields that a local model cannot honor."""
    known = {"transformers": LOCAL_FIELDS, "vllm": VLLM_FIELDS}.get(kind)
    unknown = [name for name in fields if known is not None and name not in known]
    if known is not None and unknown:
        raise StudyError(
            f"The generator {kind!r} cannot honor {unknown[0]!r} in `extra_body`: use "
            f"{', '.join(known)}, or a server (`kind: openai`)."
        )
    variables = fields.get("chat_template_kwargs", {})
    if known is not None and not isinstance(variables, dict):
        raise StudyError(
            "The generator's `chat_template_kwargs` is not a mapping: write {NAME: VALUE}."
        )


def merge_fields(fields: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``fields`` with those of ``over`` over them, mappings inside them merged likewise."""
    merged = dict(fields)
    for name, value in over.items():
        below = merged.get(name)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[name] = merge_fields(dict(below or {}), value) if both else value
    return merged


def _holds_credentials(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(
            _CREDENTIAL.search(str(name).lower()) or holds_key(str(name)) or _holds_credentials(own)
            for name, own in value.items()
        )
    if isinstance(value, list):
        return any(map(_holds_credentials, value))
    return holds_key(str(value))
