"""Adapter of bergson's ``build``: projected gradients of Q, K, V and O, written to its index."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.peers_child import PeerRow, PreparedMethod

#: Candidate batch sizes in padded tokens; bergson's default is 2048.
BATCHINGS = (512, 1024, 2048, 4096)


def prepare(request: dict[str, Any]) -> PreparedMethod:
    """Load the model with bergson's own function, which ``run`` leaves out of its time."""
    config = import_module("bergson.config.config")
    work = import_module("bergson.utils.worker_utils")
    folder = TemporaryDirectory()
    settings = {
        "model": request["model"],
        "precision": "fp32",
        "projection_dim": request["options"]["projection"],
        "filter_modules": "*mlp*",
        "loss_reduction": "mean",
    }
    started = config.IndexConfig(run_path=f"{folder.name}/load", **settings)
    model, targets = work.setup_model_and_peft(started)
    runs = 0

    def run(rows: Sequence[PeerRow], batching: int | None) -> int:
        nonlocal runs
        runs += 1
        # No batch is smaller than its longest row.
        tokens = max(batching or 0, *(len(row["ids"]) for row in rows), 2)
        place = f"{folder.name}/{runs}"
        run_config = config.IndexConfig(run_path=place, token_batch_size=tokens, **settings)
        _collect(rows, model, targets, run_config)
        return sum(len(row["ids"]) for row in rows)

    return PreparedMethod(model=model, run=run, batchings=BATCHINGS)


def _collect(rows: Sequence[PeerRow], model: Any, targets: Any, config: Any) -> None:
    """Collect gradients in the steps of bergson's ``build``, from a loaded model and tokens."""
    datasets = import_module("datasets")
    work = import_module("bergson.utils.worker_utils")
    Path(config.partial_run_path).mkdir(parents=True)
    data = datasets.Dataset.from_list(
        [
            {
                "input_ids": row["ids"],
                "labels": [-100] * row["start"] + row["ids"][row["start"] :],
                "length": len(row["ids"]),
            }
            for row in rows
        ]
    )
    batches = import_module("bergson.data").allocate_batches(
        data["length"][:], config.token_batch_size
    )
    import_module("bergson.collection").collect_gradients(
        model=model,
        data=data,
        processor=work.create_processor(model, config, targets),
        cfg=config,
        target_modules=targets,
        batches=batches,
    )
