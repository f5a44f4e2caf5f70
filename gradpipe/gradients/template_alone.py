"""A chat template without its tokenizer: what plans and reports need to render prompts."""

from __future__ import annotations

from typing import Any

_TOKENS = {f"{name}_token": f"<{name}>" for name in ("bos", "eos", "unk", "pad", "sep", "cls")}


class TemplateAlone:
    """What ``ChatTemplate`` uses of a tokenizer, for the text of a template."""

    special_tokens_map = _TOKENS

    def __init__(self, template: str) -> None:
        self.chat_template = template

    def get_chat_template(self, *_: Any, **__: Any) -> str:
        """The template."""
        return self.chat_template

    def apply_chat_template(
        self,
        messages: list[dict[str, Any]],
        *,
        chat_template: str,
        tokenize: bool = False,
        **variables: Any,
    ) -> str:
        """Render messages as text, as a tokenizer would."""
        return render_alone(chat_template, messages, **variables)


def render_alone(template: str, messages: list[dict[str, Any]], **variables: Any) -> str:
    """Render messages in the sandbox of transformers, asking for the generation prompt.

    Raises whatever the template raises.
    """
    # Imported here: it takes a second, and the answers of most runs are remembered.
    from transformers.utils.chat_template_utils import _compile_jinja_template

    given = {"tools": None, "documents": None, "add_generation_prompt": True, **_TOKENS}
    text: str = _compile_jinja_template(template).render(
        messages=messages, **{**given, **variables}
    )
    return text
