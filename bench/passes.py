"""Time ours, the bare passes and the naive method on the same examples."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from bench.bare import BUDGETS, Batches, bare_passes, batches_within
from bench.data import around_median, count_tokens, spread
from bench.naive import naive_rows
from bench.ours import batches_of, largest_difference, our_rows
from bench.settings import Say, Settings
from bench.timing import Stopwatch, timed
from gradpipe.gradients.tokens import TokenRow

if TYPE_CHECKING:
    from gradpipe.models.load import LoadedModel

#: The name of the bare passes' batching if it is that of ours.
SAME = "as ours"
#: Tokens for choosing the best batching: all of 32 short rows, or a third of 32 long ones.
TUNING_TOKENS = 6144


def measure_style(
    loaded: LoadedModel, style: str, rows: list[TokenRow], settings: Settings, say: Say
) -> pl.DataFrame:
    """Time one style's rows with every method in every round (TIMINGS)."""
    model = loaded.model
    our_rows(loaded, rows[:2], settings.budget)
    budget = best_budget(loaded, rows, say)
    best = batches_within(rows, budget)
    few = spread(rows, settings.naive_rows)
    chosen = [rows[number] for number in few]
    watch = Stopwatch(style, loaded.device, say)
    for number in range(1, settings.rounds + 1):
        take = partial(watch.take, number, examples=len(rows), tokens=count_tokens(rows))
        frames = take("ours", partial(our_rows, loaded, rows, settings.budget), batching="its own")
        same = batches_of(frames)
        take("bare", partial(bare_passes, model, rows, same), batching=SAME)
        if _alike(same, best):
            watch.records.append(watch.records[-1] | {"batching": batching_name(budget)})
        else:
            take("bare", partial(bare_passes, model, rows, best), batching=batching_name(budget))
        if few:
            naive = watch.take(
                number,
                "naive",
                partial(naive_rows, model, chosen),
                examples=len(few),
                tokens=count_tokens(chosen),
            )
            spectra = {row: values for row, (_, values) in zip(few, naive, strict=True)}
            watch.records[-1]["difference"] = largest_difference(frames, spectra)
    return watch.timings


def best_budget(loaded: LoadedModel, rows: list[TokenRow], say: Say) -> int:
    """The token budget at which the bare passes are fastest, on rows around the median length."""
    some = [rows[number] for number in around_median(rows, TUNING_TOKENS)]
    seconds: dict[int, float] = {}
    tried: list[Batches] = []
    bare_passes(loaded.model, some[:1], [[0]])
    for budget in BUDGETS:
        batches = batches_within(some, budget)
        if batches not in tried:
            tried.append(batches)
            work = partial(bare_passes, loaded.model, some, batches)
            seconds[budget], _ = timed(work, loaded.device)
            say(f"bare passes, {batching_name(budget)}: {seconds[budget] / len(some):.4g} s each")
    return min(seconds, key=lambda budget: seconds[budget])


def batching_name(budget: int) -> str:
    """The name of a token budget in a table."""
    return f"{budget} tokens" if budget else "one row"


def _alike(left: Batches, right: Batches) -> bool:
    return sorted(map(sorted, left)) == sorted(map(sorted, right))
