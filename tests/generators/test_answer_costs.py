"""Answers become rows with their cost: the server's own, else that of their tokens."""

from hypothesis import given
from hypothesis import strategies as st

from gradpipe.generators.answers import CallFailure, GeneratedAnswer, Outcome, answer_rows, priced
from gradpipe.generators.budget import TokenPrice
from gradpipe.generators.calls import CALL_SCHEMA

TOKENS = st.one_of(st.none(), st.integers(0, 10_000))
AMOUNTS = st.one_of(st.none(), st.floats(0, 100))
CALL = {"key": "a", "item_id": "item", "benchmark": "sums", "style": "detailed", "model": "writer"}


@given(prompt=TOKENS, response=TOKENS, own=AMOUNTS, per_token=AMOUNTS)
def test_the_servers_own_cost_comes_before_that_of_the_tokens(
    prompt: int | None, response: int | None, own: float | None, per_token: float | None
) -> None:
    answer = GeneratedAnswer("Two.", "stop", prompt, response, 1.0, cost=own)
    price = None if per_token is None else TokenPrice(prompt=per_token, response=2 * per_token)
    rows = answer_rows(priced([Outcome(CALL, answer)], price))
    assert rows.schema == CALL_SCHEMA
    if own is not None:
        expected = own
    elif price is None or prompt is None or response is None:
        expected = None
    else:
        expected = price.cost(prompt, response)
    assert rows["cost"].to_list() == [expected]


def test_a_failure_costs_nothing_and_is_no_row() -> None:
    outcomes = priced([Outcome(CALL, CallFailure("it failed"))], TokenPrice(prompt=1, response=1))
    assert answer_rows(outcomes).is_empty()
