"""Adapter of ODA-DataScorer: its scorer over all layers, one row at a time.

The scorer joins instruction and response with a space, so its tokens differ a little from those of
the other methods.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.peers_child import PeerRow, PreparedMethod


def prepare(request: dict[str, Any]) -> PreparedMethod:
    """Set up the scorer for all layers; raises ValueError if it took another model."""
    transformers = import_module("transformers")
    sys.path.insert(0, str(Path(request["checkout"]) / "model_based"))
    name = request["options"]["scorer"]
    model_config = transformers.AutoConfig.from_pretrained(request["model"])
    scorer = getattr(import_module(f"scorers.{name}"), name)(
        {
            "model": request["model"],
            "max_length": max(len(row["ids"]) for row in request["rows"]) + 16,
            "start_layer_index": 0,
            "num_layers": model_config.num_hidden_layers,
        }
    )
    # The scorer replaces a model that does not load by another one.
    if scorer.model.config.name_or_path != request["model"]:
        raise ValueError(f"{name} cannot load the model in this environment.")

    def run(rows: Sequence[PeerRow], _batching: int | None) -> int:
        tokens = 0
        for row in rows:
            scorer.score_item({"instruction": row["prompt"], "output": row["response"]})
            text = f"{row['prompt'].strip()} {row['response'].strip()}"
            tokens += len(scorer.tokenizer(text)["input_ids"])
        return tokens

    return PreparedMethod(model=scorer.model, run=run)
