"""Adapter of gradpipe's own methods: the bare passes, extraction, and the naive method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.bare import BUDGETS, bare_passes, batches_within
from bench.naive import naive_rows
from bench.peers_child import PeerRow, PreparedMethod
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import STANDARD
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import load_model
from gradpipe.system.cpu_settings import set_up_cpu


def prepare(request: dict[str, Any]) -> PreparedMethod:
    """Load the model for one of the methods ``bare``, ``ours`` and ``naive``."""
    set_up_cpu()
    loaded = load_model(request["model"])
    options = request["options"]

    def run(rows: Sequence[PeerRow], batching: int | None) -> int:
        encoded = [TokenRow(row["ids"], row["start"], False) for row in rows]
        if options["method"] == "bare":
            bare_passes(loaded.model, encoded, batches_within(encoded, batching or 0))
        elif options["method"] == "naive":
            naive_rows(loaded.model, encoded)
        else:
            # As `gradpipe extract` does: without sketches.
            settings = {"aligned": options["aligned"], "sketched": False}
            list(extract_rows(loaded, encoded, STANDARD, budget=request["budget"], **settings))
        return sum(len(row.ids) for row in encoded)

    return PreparedMethod(model=loaded.model, run=run, batchings=BUDGETS, device=loaded.device)
