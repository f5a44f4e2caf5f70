"""Section (b): a model of Llama-3.1-8B's shape, against the bare passes in the same batches."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

from bench.bare import bare_passes
from bench.data import count_tokens
from bench.gpu_models import llama_8b, random_rows, vocabulary_of
from bench.gpu_runner import GpuOptions, Record, Step
from bench.ours import batches_of, our_rows
from bench.timing import Stopwatch
from gradpipe.gradients.spectra.eigen_chooser import eigen_trials

if TYPE_CHECKING:
    from gradpipe.models.load import LoadedModel

#: Rows by their number of tokens: about 8,000 tokens each.
ROWS_BY_LENGTH = {128: 64, 512: 16, 1024: 8, 2048: 4}
TINY_ROWS_BY_LENGTH = {12: 3, 30: 2}


def speed_steps(options: GpuOptions) -> list[Step]:
    """One step per length; the first one builds the model."""
    loaded = cache(partial(llama_8b, options))
    lengths = TINY_ROWS_BY_LENGTH if options.tiny else ROWS_BY_LENGTH

    def step(tokens: int, count: int) -> Step:
        run = partial(measure, options, loaded, tokens, count)
        return Step(f"{tokens} tokens", run)

    return [step(*length) for length in lengths.items()]


def measure(options: GpuOptions, build: object, tokens: int, count: int) -> list[Record]:
    """Examples per second, share of the spectra and peak memory of rows of one length.

    A row is run first, unmeasured: it loads the device's libraries and tries the ways to compute
    eigenvalues. The share of the spectra is that of the time beyond the bare passes.
    """
    assert callable(build)
    loaded: LoadedModel = build()
    rows = random_rows(tokens, count, vocabulary_of(loaded))
    our_rows(loaded, rows[: max(1, count // 4)])
    frames = our_rows(loaded, rows)
    batches = batches_of(frames)
    bare_passes(loaded.model, rows, batches[:1])
    watch = Stopwatch(f"{tokens} tokens", loaded.device, lambda _: None)
    for number in range(1, options.rounds + 1):
        take = partial(watch.take, number, examples=count, tokens=count_tokens(rows))
        take("ours", partial(our_rows, loaded, rows))
        take("bare", partial(bare_passes, loaded.model, rows, batches))
    ours, bare = (best(watch, method) for method in ("ours", "bare"))
    # Those of K and V may be of a smaller side than the tokens.
    trials = [trial for trial in eigen_trials() if 0.4 * tokens < trial.rows <= tokens]
    chosen = {f"{trial.rows} rows: {trial.chosen}" for trial in trials}
    return [
        {
            "tokens": tokens,
            "examples": count,
            "usable": sum(len(batch) for batch in batches),
            "batches": len(batches),
            "examples per second": count / ours["seconds"],
            "bare per second": count / bare["seconds"],
            "ours / bare": ours["seconds"] / bare["seconds"],
            "share of spectra": max(0.0, 1 - bare["seconds"] / ours["seconds"]),
            "peak bytes": ours["peak"],
            "bare peak bytes": bare["peak"],
            "eigenvalues": ", ".join(sorted(chosen)) or "cpu",
        }
    ]


def best(watch: Stopwatch, method: str) -> Record:
    """The fastest measurement of a method."""
    records = [record for record in watch.records if record["method"] == method]
    return min(records, key=lambda record: record["seconds"])
