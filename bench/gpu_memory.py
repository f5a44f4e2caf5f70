"""Section (d): recovery when a batch, or a row, does not fit into the device's memory."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import polars as pl

from bench.gpu_models import llama_8b, random_rows, vocabulary_of
from bench.gpu_runner import GpuOptions, Record, Step
from bench.ours import batches_of, nuclear_norms, our_rows

if TYPE_CHECKING:
    from gradpipe.gradients.tokens import TokenRow
    from gradpipe.models.load import LoadedModel

#: Tokens and number of rows; the long row has LONGER times as many tokens.
TOKENS, ROWS, LONGER = 512, 16, 15
TINY_TOKENS, TINY_ROWS = 10, 6
LAYERS = 2
#: Bytes that an extraction may leave allocated: workspaces of the device's libraries.
LEFT_BEHIND = 256 * 2**20
#: The largest relative difference of a nuclear norm after a recovery: other batches round
#: differently in bfloat16.
BOUND = 0.05


def memory_steps(options: GpuOptions) -> list[Step]:
    """A batch that is too large, and a row that does not fit alone."""
    loaded = cache(partial(llama_8b, options, LAYERS))
    tokens, count = (TINY_TOKENS, TINY_ROWS) if options.tiny else (TOKENS, ROWS)
    return [
        Step("a batch too large", lambda: large_batch(loaded(), tokens, count)),
        Step("a row too long", lambda: long_row(loaded(), tokens)),
    ]


def large_batch(loaded: LoadedModel, tokens: int, count: int) -> list[Record]:
    """Run all rows as one batch in memory for a third of them: it must be divided."""
    rows = random_rows(tokens, count, vocabulary_of(loaded))
    expected = our_rows(loaded, rows, tokens)
    used = used_bytes(loaded, rows[: max(1, count // 3)], tokens * count)
    with limited_memory(loaded, used, tokens * max(1, count // 3)) as before:
        frames = our_rows(loaded, rows, tokens * count)
    batches = batches_of(frames)
    norms, theirs = nuclear_norms(frames), nuclear_norms(expected)
    worst = max(
        (abs(norms[place] / theirs[place] - 1) for place in theirs if place in norms), default=1.0
    )
    left = allocated(loaded) - before
    return [
        {
            "case": "a batch too large",
            "rows": count,
            "finished": sum(map(len, batches)),
            "batches": len(batches),
            "difference": worst,
            "bytes left": left,
            "passed": sum(map(len, batches)) == count
            and len(batches) > 1
            and worst <= BOUND
            and left <= LEFT_BEHIND,
        }
    ]


def long_row(loaded: LoadedModel, tokens: int) -> list[Record]:
    """Run short rows with a long one in memory for a few short ones: only the long one fails."""
    vocabulary = vocabulary_of(loaded)
    short = random_rows(tokens, 3, vocabulary)
    rows = [*short, *random_rows(LONGER * tokens, 1, vocabulary)]
    used = used_bytes(loaded, short, 3 * tokens)
    with limited_memory(loaded, used, 3 * tokens) as before:
        frames = our_rows(loaded, rows, LONGER * tokens)
    reasons = pl.concat(frames).filter(pl.col("reason").is_not_null())
    left = allocated(loaded) - before
    return [
        {
            "case": "a row too long",
            "rows": len(rows),
            "finished": len(rows) - len(reasons),
            "batches": len(frames),
            "difference": None,
            "bytes left": left,
            "passed": reasons["row"].to_list() == [len(rows) - 1] and left <= LEFT_BEHIND,
        }
    ]


def used_bytes(loaded: LoadedModel, rows: list[TokenRow], budget: int) -> int:
    """The peak of bytes that an extraction of ``rows`` takes beyond the model; 0 on the CPU."""
    import torch

    if not loaded.device.startswith("cuda"):
        return 0
    before = allocated(loaded)
    torch.cuda.reset_peak_memory_stats()
    our_rows(loaded, rows, budget)
    return int(torch.cuda.max_memory_allocated()) - before


def allocated(loaded: LoadedModel) -> int:
    """The bytes allocated on the model's device; 0 on the CPU."""
    import torch

    gc.collect()
    return int(torch.cuda.memory_allocated()) if loaded.device.startswith("cuda") else 0


@contextmanager
def limited_memory(loaded: LoadedModel, usable: int, tokens: int) -> Iterator[int]:
    """Limit the device to ``usable`` bytes beyond the model; yield the bytes allocated before.

    On the CPU, a pass of more than ``tokens`` tokens fails as if it did not fit.
    """
    import torch

    before = allocated(loaded)
    if loaded.device.startswith("cuda"):
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(loaded.device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, (before + usable) / total))
        try:
            yield before
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        return

    def refuse(_module: Any, inputs: tuple[Any, ...]) -> None:
        if inputs[0].numel() > tokens:
            raise torch.OutOfMemoryError("the pass has more tokens than the bench allows")

    hook = loaded.model.get_input_embeddings().register_forward_pre_hook(refuse)
    try:
        yield before
    finally:
        hook.remove()
