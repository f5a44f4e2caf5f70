"""The cost of spans: one forward pass with a backward pass per span, or each span as a row."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from bench.data import count_tokens
from bench.ours import our_rows
from bench.settings import Say, Settings
from bench.timing import Stopwatch
from gradpipe.conversations.spans import TokenSpan
from gradpipe.gradients.tokens import TokenRow

if TYPE_CHECKING:
    from gradpipe.models.load import LoadedModel

#: (tokens of a row, spans of its response), one case each.
CASES = ((40, 2), (40, 6), (150, 2), (150, 6), (400, 2), (400, 6))
#: Tokens of all rows of a case, and the share of a row that is its prompt.
TOKENS = 400
PROMPT_SHARE = 0.25


def measure_spans(
    loaded: LoadedModel, tokens: int, spans: int, settings: Settings, say: Say
) -> pl.DataFrame:
    """Time random rows without spans and with spans by each method (TIMINGS)."""
    vocabulary = loaded.model.config.vocab_size
    seeds = range(max(1, TOKENS // tokens))
    rows = [divided_row(tokens, spans, vocabulary, seed) for seed in seeds]
    whole = [TokenRow(row.ids, row.start, False) for row in rows]
    methods = {
        "without": whole,
        "shared": rows,
        "rows": whole + [one for row in rows for one in rows_of_spans(row)],
        "cut rows": whole + [one for row in rows for one in rows_of_spans(row, cut=True)],
    }
    watch = Stopwatch(f"{tokens} tokens, {spans} spans", loaded.device, say)
    our_rows(loaded, whole, settings.budget, aligned=False)
    for number in range(1, settings.rounds + 1):
        for method, given in methods.items():
            watch.take(
                number,
                method,
                partial(our_rows, loaded, given, settings.budget, aligned=False),
                examples=len(rows),
                tokens=count_tokens(whole),
                batching="its own",
            )
    return watch.timings


def divided_row(tokens: int, spans: int, vocabulary: int, seed: int = 0) -> TokenRow:
    """A row of random tokens, whose response is divided into spans of about equal lengths."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(vocabulary, (tokens,), generator=generator).tolist()
    start = max(1, round(PROMPT_SHARE * tokens))
    positions = range(start, tokens)
    ends = [round(number * len(positions) / spans) for number in range(spans + 1)]
    named = (
        TokenSpan(f"step_{number + 1}", tuple(positions[ends[number] : ends[number + 1]]))
        for number in range(spans)
    )
    return TokenRow(ids, start, False, spans=tuple(named))


def rows_of_spans(row: TokenRow, cut: bool = False) -> list[TokenRow]:
    """Each span as a row, the loss on its own tokens; with ``cut``, without the tokens behind."""
    ends = [span.positions[-1] + 1 if cut else len(row.ids) for span in row.spans]
    return [
        TokenRow(row.ids[:end], row.start, False, mask=span.positions)
        for span, end in zip(row.spans, ends, strict=True)
    ]


def summarize_spans(timings: pl.DataFrame) -> pl.DataFrame:
    """One row per case: median seconds per example, and the medians of the rounds' ratios."""
    per_example = timings.with_columns(per_example=pl.col("seconds") / pl.col("examples"))
    rounds = per_example.pivot("method", index=["case", "round", "examples"], values="per_example")
    return rounds.group_by("case", maintain_order=True).agg(
        rounds=pl.len(),
        without_seconds=pl.col("without").median(),
        shared_seconds=pl.col("shared").median(),
        over_without=(pl.col("shared") / pl.col("without")).median(),
        over_rows=(pl.col("shared") / pl.col("rows")).median(),
        over_cut_rows=(pl.col("shared") / pl.col("cut rows")).median(),
    )
