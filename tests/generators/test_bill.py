"""The estimate before the bill."""

from typing import Any

import pytest

from gradpipe.generators.bill import TYPICAL_TOKENS, estimate_bill
from gradpipe.generators.calls import plan_calls
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.written_styles import MAX_TOKENS
from tests.generators.conftest import make_items


def config(**settings: Any) -> GeneratorConfig:
    return GeneratorConfig.model_validate({"kind": "openai", "model": "writer", **settings})


def test_every_style_has_a_typical_length_below_its_limit() -> None:
    assert TYPICAL_TOKENS.keys() == MAX_TOKENS.keys()
    assert all(TYPICAL_TOKENS[style] < MAX_TOKENS[style] for style in MAX_TOKENS)


def test_a_bill_adds_up() -> None:
    settings = config(price={"prompt": 1.0, "response": 4.0})
    calls = plan_calls(make_items(10), settings)
    bill = estimate_bill(calls, settings, lambda texts: [100] * len(texts))
    assert bill.requests == 20
    assert bill.response_tokens == {"simplified": 800, "detailed": 4100}
    assert bill.most_response_tokens == 10 * (512 + 2048)
    assert bill.prompt_tokens == 20 * 2 * (100 + 6)
    assert bill.cost == pytest.approx((4240 + 4 * 4900) / 1e6)
    assert bill.most_cost == pytest.approx((4240 + 4 * 25_600) / 1e6)
    assert bill.sentence() == (
        "20 requests with about 4,240 prompt tokens and 4,900 response tokens (at most 25,600), "
        "for about 0.02 (at most 0.11)."
    )


def test_twins_are_paid_once() -> None:
    calls = plan_calls(make_items(3), config())
    assert estimate_bill(calls.vstack(calls), config()) == estimate_bill(calls, config())


def test_without_a_tokenizer_tokens_are_guessed_near_enough() -> None:
    calls = plan_calls(make_items(3), config())
    letters = sum(len(text) for text in calls["messages"])
    assert letters / 6 < estimate_bill(calls, config()).prompt_tokens < letters / 3


def test_a_calls_own_limit_bounds_what_is_expected() -> None:
    settings = config(max_tokens=50)
    bill = estimate_bill(plan_calls(make_items(2), settings), settings)
    assert bill.response_tokens == {"simplified": 100, "detailed": 100}


def test_without_prices_there_is_no_cost() -> None:
    bill = estimate_bill(plan_calls(make_items(2), config()), config())
    assert bill.cost is None
    assert "for about" not in bill.sentence()


@pytest.mark.parametrize("budget", [{"requests": 3}, {"tokens": 1000}])
def test_a_budget_that_will_not_do_is_said(budget: dict[str, int]) -> None:
    settings = config(budget=budget)
    bill = estimate_bill(plan_calls(make_items(2), settings), settings)
    assert bill.over_budget
    assert "budget" in bill.sentence()


def test_nothing_costs_nothing() -> None:
    bill = estimate_bill(plan_calls(make_items(2).clear(), config()), config())
    assert bill.sentence() == "There is nothing to generate."
