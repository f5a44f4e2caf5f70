"""Spans of responses have curves of their own, over the examples that have them."""

from typing import Any

import polars as pl
import pytest

from gradpipe.gradients.rows import ROW_SCHEMA
from gradpipe.statistics.spans.curves import SPAN_SCHEMA, span_statistics


def matrices(*norms: float) -> list[dict[str, Any]]:
    """One gradient per layer, of rank one: its nuclear norm is its only singular value."""
    return [
        {"layer": layer, "projection": "q", "frobenius_norm": norm, "singular_values": [norm]}
        for layer, norm in enumerate(norms)
    ]


def row(key: str, reason: str | None = None, **spans: tuple[int, float, list[Any]]) -> Any:
    named = [
        {"name": name, "tokens": tokens, "loss": loss, "matrices": of_layers}
        for name, (tokens, loss, of_layers) in spans.items()
    ]
    return {"key": key, "reason": reason, "loss": 9.0, "response_tokens": 99, "spans": named}


def table(*rows: Any) -> tuple[pl.DataFrame, pl.LazyFrame]:
    stored = pl.DataFrame(
        rows,
        schema={
            "key": pl.String(),
            **{name: ROW_SCHEMA[name] for name in rows[0] if name != "key"},
        },
    )
    examples = pl.DataFrame(
        {
            "key": stored["key"],
            "item_id": stored["key"],
            "index": range(stored.height),
            "family": "math",
            "model": "m",
            "benchmark": "b",
            "style": "thinking",
            "relevance": "correct",
        }
    )
    return examples, stored.lazy()


def test_a_span_has_the_mean_and_the_mad_of_its_own_curve() -> None:
    examples, rows = table(
        row("a", think=(8, 1.0, matrices(2, 5, 3)), answer=(2, 3.0, matrices(1, 1, 4))),
        row("b", think=(4, 2.0, matrices(4, 1, 1))),
    )
    found = span_statistics(examples, rows, ["nuclear_norm"])
    assert found.schema == SPAN_SCHEMA
    by_span = {line["span"]: line for line in found.iter_rows(named=True)}
    assert by_span.keys() == {"think", "answer"}
    # The curve of think is (2 + 4, 5 + 1, 3 + 1) / 2 = (3, 3, 2).
    think, answer = by_span["think"], by_span["answer"]
    assert (think["mean"], think["mad"]) == (pytest.approx(8 / 3), pytest.approx(0.5))
    assert (think["examples"], think["tokens"], think["loss"]) == (2, 6.0, 1.5)
    assert (answer["mean"], answer["mad"]) == (pytest.approx(2), pytest.approx(1.5))
    assert (answer["examples"], answer["tokens"], answer["loss"]) == (1, 2.0, 3.0)


def test_rows_without_spans_and_unusable_rows_have_none() -> None:
    examples, rows = table(row("a"), row("b", reason="no", think=(8, 1.0, matrices(2, 5, 3))))
    found = span_statistics(examples, rows, ["nuclear_norm"])
    assert found.is_empty()
    assert found.schema == SPAN_SCHEMA
