"""Estimate the cost of calls before they are sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from gradpipe.generators.config import GeneratorConfig

#: Tokens of a typical response. For reasoning, the mean number of words in the nine reasoning sets
#: of the paper's release (simplified 58, detailed 308), times four thirds. For thinking models, an
#: assumption: the length of thinking varies widely between models.
TYPICAL_TOKENS = {
    "simplified": 80,
    "detailed": 410,
    "length_100": 100,
    "length_500": 500,
    "length_1000": 1000,
    "answer_only": 1500,
    "thinking": 1500,
}
#: Tokens of a judge's reply: a final answer alone.
OPINION_TOKENS = 10

_BYTES_PER_TOKEN = 4
# Tokens that a chat template adds to a message.
_TOKENS_PER_MESSAGE = 6


@dataclass(frozen=True)
class GeneratorBill:
    """An estimate: one request per call, its tokens, and the cost if the study has prices.

    ``response_tokens`` are the expected tokens by style; ``most_response_tokens`` is the sum of the
    calls' own limits. ``cost`` and ``most_cost`` are in the currency of the study's prices.
    """

    requests: int
    prompt_tokens: int
    response_tokens: dict[str, int]
    most_response_tokens: int
    cost: float | None
    most_cost: float | None
    over_budget: bool

    def sentence(self) -> str:
        """Return the estimate in one sentence."""
        if not self.requests:
            return "There is nothing to generate."
        expected = sum(self.response_tokens.values())
        text = (
            f"{self.requests:,} requests with about {self.prompt_tokens:,} prompt tokens and "
            f"{expected:,} response tokens (at most {self.most_response_tokens:,})"
        )
        if self.cost is not None:
            text += f", for about {self.cost:,.2f} (at most {self.most_cost:,.2f})"
        if self.over_budget:
            text += ", which exceeds the budget of one run"
        return f"{text}."


def estimate_bill(
    calls: pl.DataFrame,
    config: GeneratorConfig,
    count_tokens: Callable[[list[str]], list[int]] | None = None,
) -> GeneratorBill:
    """Estimate the cost of ``calls`` (PLAN_SCHEMA) if each succeeds at the first attempt.

    ``count_tokens`` returns the number of tokens per text; without it, a token is four bytes.
    """
    unique = calls.unique("key", maintain_order=True)
    typical = TYPICAL_TOKENS | {"judge": OPINION_TOKENS}
    prompt = _prompt_tokens(unique["messages"].to_list(), count_tokens or _guess)
    by_style = unique.group_by("style", maintain_order=True).agg(
        pl.min_horizontal(
            pl.col("style").replace_strict(typical, return_dtype=pl.Int64), "max_tokens"
        )
        .sum()
        .alias("tokens")
    )
    expected = dict(by_style.iter_rows())
    response, most = sum(expected.values()), int(unique["max_tokens"].sum())
    price, budget = config.price, config.budget
    return GeneratorBill(
        requests=unique.height,
        prompt_tokens=prompt,
        response_tokens=expected,
        most_response_tokens=most,
        cost=None if price is None else price.cost(prompt, response),
        most_cost=None if price is None else price.cost(prompt, most),
        over_budget=(budget.requests is not None and unique.height > budget.requests)
        or (budget.tokens is not None and prompt + response > budget.tokens),
    )


def _prompt_tokens(messages: list[str], count: Callable[[list[str]], list[int]]) -> int:
    texts = [message["content"] for row in messages for message in json.loads(row)]
    return sum(count(texts)) + _TOKENS_PER_MESSAGE * len(texts) if texts else 0


def _guess(texts: list[str]) -> list[int]:
    return [-(-len(text.encode()) // _BYTES_PER_TOKEN) for text in texts]
