"""Read a model's chat template, and what its tokenizer appends, without loading the tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gradpipe.errors import ModelError
from gradpipe.models.adapters.base import source_file, tokenizer_source
from gradpipe.models.source import ModelSource

_CONFIG, _TEMPLATE, _TOKENIZER = "tokenizer_config.json", "chat_template.jinja", "tokenizer.json"


def template_text(source: ModelSource) -> str | None:
    """Return the chat template that transformers would use by default, or None without one.

    Unreadable files count as missing, since loading the tokenizer reports them. Raises ModelError
    if a hub model's files are not cached and cannot be downloaded. ``source`` is pinned.
    """
    source = tokenizer_source(source)
    if source.kind == "gguf":
        return _gguf_template(Path(source.id))
    config = _json(source_file(source, _CONFIG))
    # Later versions of transformers save the template to a file of its own, which takes precedence.
    file = source_file(source, _TEMPLATE)
    if file is not None:
        return _text(file)
    template = config.get("chat_template")
    if isinstance(template, list):
        named = [entry for entry in template if isinstance(entry, dict)]
        template = {entry.get("name"): entry.get("template") for entry in named}.get("default")
    return template if isinstance(template, str) and template else None


def appends_tokens(source: ModelSource) -> bool:
    """Return whether the tokenizer appends special tokens, such as an EOS, to every text.

    Unreadable files count as missing. Raises ModelError as ``template_text`` does.
    """
    source = tokenizer_source(source)
    if source.kind == "gguf":
        # The conversion makes tokenizers that append nothing.
        return False
    file = source_file(source, _TOKENIZER)
    if file is not None:
        # transformers ignores add_eos_token beside this file.
        return _appends(_json(file).get("post_processor"))
    return bool(_json(source_file(source, _CONFIG)).get("add_eos_token"))


def _appends(processor: Any) -> bool:
    """Whether a post-processor of a tokenizer.json writes a special token behind a text."""
    if not isinstance(processor, dict):
        return False
    kind, single = processor.get("type"), processor.get("single")
    if kind == "Sequence":
        processors = processor.get("processors")
        return isinstance(processors, list) and any(map(_appends, processors))
    if kind == "TemplateProcessing":
        return isinstance(single, list) and bool(single) and "SpecialToken" in single[-1]
    return kind in {"BertProcessing", "RobertaProcessing"}


def _gguf_template(path: Path) -> str | None:
    # Imported here, since it imports numpy's types and is needed once per file.
    from gradpipe.untrusted.gguf_header import read_header_text

    try:
        return read_header_text(path, "tokenizer.chat_template") or None
    except ModelError:
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8") or None
    except (OSError, ValueError):
        return None


def _json(path: Path | None) -> dict[str, Any]:
    try:
        content = json.loads((_text(path) if path else None) or "{}")
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
