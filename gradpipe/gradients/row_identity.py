"""The model's part of a row's key, new for rows whose numbers were wrong.

Before version 0.2, the prompts of some chat templates were without the instruction or the
assistant's header, contained the date of the day, or ended inside a think block; and an EOS that
the tokenizer appended had a loss. The rows of these models get other keys, so that they are
recomputed once. All other rows keep theirs.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gradpipe.errors import ModelError
from gradpipe.gradients.chat_templates import ChatTemplate
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.template_alone import TemplateAlone, render_alone
from gradpipe.models.source import ModelSource
from gradpipe.models.template_text import appends_tokens, template_text
from gradpipe.system.remembered import remembered

#: What is added to the fingerprint of a model whose earlier rows are wrong.
MARK = "prompts-2"
#: The settings in keys before version 0.2. A key with another one is newer than the mistakes.
_SETTINGS_THEN = {
    *("chat", "system", "system_unless", "special_tokens", "boundary", "max_length", "overlong"),
    *("dtype", "projections", "layer_names"),
}
#: Those of them that decide the text of a prompt and its special tokens.
_SETTINGS_OF_PROMPTS = ("chat", "system", "system_unless", "special_tokens", "boundary")
_INSTRUCTION, _RESPONSE = "What is 2 + 2?", "It is 4."
#: A moment that no protocol has by default: its texts differ in year, month, day and weekday.
_MOMENT = datetime(2001, 3, 13, 17, 48, 59)


def row_identity(source: ModelSource, fingerprint: str, protocol: Protocol) -> str:
    """Return the model's part of the keys of rows: the fingerprint, marked if rows were wrong.

    Neither the model nor its tokenizer is loaded; the answer is remembered per fingerprint and
    protocol. ``source`` is pinned. Raises ModelError if the files of a hub model are not cached
    and cannot be downloaded.
    """
    key = protocol.key()
    if not set(key) <= _SETTINGS_THEN:
        return fingerprint
    settings = {name: key[name] for name in _SETTINGS_OF_PROMPTS}
    wrong = remembered(
        "prompts",
        [MARK, fingerprint, settings],
        "wrong",
        lambda: {"wrong": _were_wrong(source, protocol), "model": source.id, **settings},
    )
    return f"{fingerprint}-{MARK}" if wrong else fingerprint


def _were_wrong(source: ModelSource, protocol: Protocol) -> bool:
    template = None if protocol.chat is False else template_text(source)
    special = protocol.special_tokens == "always" or template is None
    if special and not protocol.as_reference and appends_tokens(source):
        return True
    return template is not None and prompts_changed(template, protocol)


def prompts_changed(template: str, protocol: Protocol) -> bool:
    """Return whether versions before 0.2 rendered a chat template differently.

    A template that failed then has no rows, and counts as unchanged.
    """
    earlier = _earlier_prompt(template, protocol)
    if earlier is None:
        return False
    # Rows without their instruction had numbers, and are unusable now.
    return _INSTRUCTION not in earlier or earlier != _present_prompt(template, protocol)


def _present_prompt(template: str, protocol: Protocol) -> str | None:
    tokenizer: Any = TemplateAlone(template)
    try:
        return ChatTemplate(tokenizer, protocol, "").prompt(_INSTRUCTION, _RESPONSE)
    except ModelError:
        return None


def _earlier_prompt(template: str, protocol: Protocol) -> str | None:
    """The prompt of versions before 0.2, on another day; None if the template fails."""
    user = {"role": "user", "content": _INSTRUCTION}
    if protocol.system is None:
        return _try(template, [user])
    with_system = _try(template, [{"role": "system", "content": protocol.system}, user])
    rejected = with_system is None and protocol.system_unless == "by_template"
    return _try(template, [user]) if rejected else with_system


def _try(template: str, messages: list[dict[str, Any]]) -> str | None:
    try:
        return render_alone(template, messages, strftime_now=_MOMENT.strftime)
    # Templates are sandboxed programs that come with the model: they may raise anything.
    except Exception:
        return None
