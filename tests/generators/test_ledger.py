"""The budget: never overdrawn, whatever is in flight."""

from gradpipe.generators.budget import Budget
from gradpipe.generators.ledger import Ledger, token_bound


def test_without_a_budget_everything_may_be_sent() -> None:
    ledger = Ledger(Budget())
    assert all(ledger.reserve(10**9) for _ in range(100))
    assert ledger.requests == 100


def test_requests_end_with_the_budget() -> None:
    ledger = Ledger(Budget(requests=2))
    assert [ledger.reserve(1) for _ in range(3)] == [True, True, False]
    assert "2 requests" in str(ledger.stopped)
    assert ledger.requests == 2


def test_what_is_in_flight_holds_tokens_back_until_it_ends() -> None:
    ledger = Ledger(Budget(tokens=100))
    assert ledger.reserve(60)
    assert not ledger.reserve(60)
    assert ledger.stopped is None
    ledger.settle(60, 20)
    assert ledger.reserve(80)
    ledger.settle(80, 80)
    assert not ledger.reserve(1)
    assert "100 tokens" in str(ledger.stopped)
    assert ledger.tokens == 100


def test_the_first_reason_to_stop_stays() -> None:
    ledger = Ledger(Budget())
    ledger.stop("first")
    ledger.stop("second")
    assert ledger.stopped == "first"
    assert not ledger.reserve(0)


def test_a_calls_limit_counts_the_prompts_bytes() -> None:
    messages = '[{"role": "user", "content": "' + "汉" * 300 + '"}]'
    assert token_bound(messages, 50) >= 300 + 50
