"""What was done to a model's stored weights before their gradients were taken, in sentences."""

from __future__ import annotations

import json
from typing import Any

from gradpipe.errors import ModelError
from gradpipe.models.adapters.base import source_file, weights_source
from gradpipe.models.adapters.config import ADAPTER_CONFIG, read_adapter_config
from gradpipe.models.quantization import SETTINGS, quantization_note
from gradpipe.models.source import ModelSource


def weights_notes(source: ModelSource) -> list[str]:
    """Return a sentence per adapter and per quantization of a pinned model; empty for a plain one.

    Unreadable files count as missing, since loading the model reports them.
    """
    try:
        return [*_adapter_notes(source), *_quantization_notes(weights_source(source))]
    except (ModelError, OSError, ValueError, RecursionError):
        return []


def _adapter_notes(source: ModelSource) -> list[str]:
    if source.base is None:
        return []
    path = source_file(source, ADAPTER_CONFIG)
    settings = read_adapter_config(source.id, path) if path is not None else {}
    kind = "DORA" if settings.get("use_dora") else settings.get("peft_type") or "unknown"
    rank = f", rank {settings['r']}" if isinstance(settings.get("r"), int) else ""
    base = f"{source.base.id}@{source.base.revision}" if source.base.revision else source.base.id
    measured = "its factors A and B" if source.adapter == "factors" else "the merged weights"
    return [f"An adapter ({kind}{rank}) of {base}; gradients are those at {measured}."]


def _quantization_notes(source: ModelSource) -> list[str]:
    if source.kind == "gguf":
        return []
    path = source_file(source, "config.json")
    config: Any = json.loads(path.read_text("utf-8")) if path is not None else {}
    parts = [config, config.get("text_config")] if isinstance(config, dict) else []
    for part in parts:
        for key in SETTINGS:
            settings = part.get(key) if isinstance(part, dict) else None
            if isinstance(settings, dict) and settings:
                return [quantization_note(settings)]
    return []
