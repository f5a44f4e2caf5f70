"""Adapter of the paper's reference implementation: its own function, one row at a time."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.peers_child import PeerRow, PreparedMethod


def prepare(request: dict[str, Any]) -> PreparedMethod:
    """Load the model as the reference does, in float32, and its script as a module."""
    import torch
    import transformers

    sys.path.insert(0, str(Path(request["checkout"]) / "code_gradient"))
    script = import_module("get_gradient_values")
    model = transformers.AutoModelForCausalLM.from_pretrained(
        request["model"], output_hidden_states=True, dtype=torch.float32
    ).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(request["model"])
    longest = max(len(row["ids"]) for row in request["rows"]) + 16

    def run(rows: Sequence[PeerRow], _batching: int | None) -> int:
        tokens = 0
        for row in rows:
            text = row["prompt"] + row["response"]
            script.cal_svd_vector_part_text(tokenizer, model, text, row["response"], longest, {})
            tokens += len(tokenizer.encode(text))
        return tokens

    return PreparedMethod(model=model, run=run)
