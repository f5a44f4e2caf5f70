"""What readers of a report see as a model's name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from gradpipe.models.source import DEMO_HUB_ID, ModelSource

_DEMO = "demo"


def model_labels(models: Mapping[str, tuple[str, ModelSource]]) -> dict[str, str]:
    """The label of each model whose name does not say what it is, by its name.

    ``models`` has the id of each model, as the study names it, and its source. The demo is a 4-bit
    file on one machine and the full weights of the hub on another, which give other numbers: its
    label says which. No two models have one label.
    """
    labels = {
        name: _demo_label(source)
        for name, (given, source) in models.items()
        if given == _DEMO and name == _DEMO
    }
    shown = Counter(labels.get(name, name) for name in models)
    return {
        name: label if shown[label] == 1 else f"{label} [{name}]" for name, label in labels.items()
    }


def _demo_label(source: ModelSource) -> str:
    model = DEMO_HUB_ID.rpartition("/")[2]
    if source.kind != "gguf":
        return f"{model} (full weights)"
    bits = re.search(r"[.-]i?q(\d+)", Path(source.id).stem, re.IGNORECASE)
    return f"{model} ({bits[1]}-bit GGUF)" if bits else f"{model} (GGUF)"
