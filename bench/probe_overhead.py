"""What a probe costs during training, as a share of the bare passes of its examples.

``python -m bench.probe_overhead [--rows N] [--rounds R]`` prints one line per number. Seconds are
those of the processor, over all threads: beside other work, wall time would say little.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import click

from bench.bare import BUDGETS, bare_passes, batches_within
from bench.data import find_source
from gradpipe.gradients.encoder import Encoder
from gradpipe.gradients.protocol import STANDARD
from gradpipe.models.hardware import cpu_name
from gradpipe.models.load import load_model
from gradpipe.responses.build import build_examples
from gradpipe.standalone.user_examples import to_examples
from gradpipe.training.batch_spectra import BatchSpectra
from gradpipe.training.gradient_probe import GradientProbe


def processor_seconds(function: Callable[[], Any], rounds: int) -> float:
    """The median processor time of a call, after one that is not counted."""
    function()
    seconds = []
    for _ in range(rounds):
        started = time.process_time()
        function()
        seconds.append(time.process_time() - started)
    return median(seconds)


def probe_pairs(rows: int) -> list[tuple[str, str]]:
    """The first ``rows`` correct bare answers and rationales to GSM8K, taken in turn."""
    items = find_source().items.head(-(-rows // 2))
    examples = build_examples(
        items, styles=["none", "simplified"], relevances=["correct"], irrelevant="release", seed=0
    )
    return examples.select("instruction", "response").rows()[:rows]


@click.command()
@click.option("--rows", default=8, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(rows: int, rounds: int) -> None:
    """Measure the demo model."""
    loaded = load_model("demo")
    model, tokenizer, pairs = loaded.model, loaded.tokenizer, probe_pairs(rows)
    tokens = Encoder(tokenizer, STANDARD, "", loaded.window).encode_all(to_examples(pairs))
    bare = min(
        processor_seconds(partial(bare_passes, model, tokens, batches_within(tokens, most)), rounds)
        for most in BUDGETS[:2]
    )
    model.requires_grad_(True).train()
    probe = GradientProbe(pairs)
    whole = processor_seconds(lambda: probe.measure(model, tokenizer, step=0), rounds)
    ids = tokenizer(pairs[0][0], return_tensors="pt")["input_ids"]
    model(input_ids=ids, labels=ids).loss.backward()
    batch = BatchSpectra()
    dense = processor_seconds(lambda: batch.measure(model, step=1), rounds)
    lengths = sum(len(row.ids) for row in tokens)
    click.echo(f"{cpu_name()}; {rows} examples, {lengths} tokens")
    click.echo(f"bare passes    {bare:8.2f} s")
    click.echo(f"a probe        {whole:8.2f} s  {whole / bare:.2f} of the bare passes")
    click.echo(f"batch spectra  {dense:8.2f} s")


if __name__ == "__main__":
    main()
