"""Answers of a made-up model, and the judged responses that they became."""

import json
from datetime import UTC, datetime
from typing import Any

import polars as pl

from gradpipe.generators.calls import CALL_SCHEMA
from gradpipe.responses.written import QUALITY_SCHEMA

CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def answer_of(key: str, **changes: Any) -> dict[str, Any]:
    """A stored answer with everything that a server can tell."""
    request = {"chat_template_kwargs": {"enable_thinking": True}}
    settings = {"temperature": 0.7, "seed": 3, "max_tokens": 99, "request": request}
    given = {
        "key": key,
        "item_id": "item-0",
        "benchmark": "sums",
        "style": "detailed",
        "prompt_hash": "hash",
        "messages": json.dumps([{"role": "user", "content": "Explain why 2 is right."}]),
        "model": "writer",
        "settings": json.dumps(settings),
        "text": "One and one is two. The answer is 2",
        "finish_reason": "stop",
        "prompt_tokens": 10,
        "response_tokens": 30,
        "seconds": 1.5,
        "created": CREATED,
        "error": None,
        "reasoning": "Let me add.",
        "reasoning_tokens": 20,
        "cut": "<|im_end|>",
        "answered_by": "writer-2026",
        "fingerprint": "fp_1",
        "cost": 0.25,
    }
    return given | changes


def answers_of(*answers: dict[str, Any]) -> pl.DataFrame:
    """Stored answers as a table."""
    return pl.DataFrame(list(answers), schema=CALL_SCHEMA)


def judged_of(*rows: dict[str, Any]) -> pl.DataFrame:
    """Judged responses as a table; by default a model's that passed."""
    defaults = {
        "by_model": True,
        "item_id": "item-0",
        "style": "detailed",
        "verdict": "passed",
        "answer": "2",
        "found_answer": "2",
        "text": "One and one is two. The answer is 2",
        "key": None,
    }
    return pl.DataFrame([defaults | row for row in rows], schema=QUALITY_SCHEMA)
