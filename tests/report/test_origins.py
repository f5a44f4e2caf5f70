"""Where the responses of extreme examples come from, and what the page says of it."""

from typing import Any

import polars as pl
import pytest

from gradpipe.report.origins import (
    GRADPIPE,
    MOST_FACT_CHARACTERS,
    ORIGIN_SCHEMA,
    REPORT_RESPONSE_SCHEMA,
    extreme_origins,
    origin_facts,
)
from gradpipe.report.report_data import EXTREME_SCHEMA
from gradpipe.report.tables.examples import writers_table
from gradpipe.responses.provenance import THE_SOURCE, response_provenance
from tests.responses.written_calls import answer_of, answers_of, judged_of

TEXT = "One and one is two. The answer is 2"
SOURCES = "The source says 2."


def responses() -> pl.DataFrame:
    """One response of a model to each of two items, and one of the source."""
    judged = judged_of(
        {"key": "a"},
        {"key": "b", "item_id": "item-1"},
        {"by_model": False, "style": "simplified", "text": SOURCES},
    )
    answers = answers_of(answer_of("a"), answer_of("b", model="other", cost=None))
    provenance = response_provenance(judged, answers).with_columns(benchmark=pl.lit("sums"))
    return provenance.select(*REPORT_RESPONSE_SCHEMA, "text")


def origin(**changes: Any) -> list[dict[str, Any]]:
    """The origin of one extreme example, which may be none."""
    example = {
        "item_id": "item-0",
        "style": "detailed",
        "relevance": "correct",
        "donor_item_id": None,
        "response": TEXT,
    } | changes
    place = {"model": "small", "benchmark": "sums", "end": "largest", "place": 1}
    extreme = {name: {**place, **example}.get(name) for name in EXTREME_SCHEMA}
    examples = pl.DataFrame([example], schema=dict.fromkeys(example, pl.String()))
    shown = pl.DataFrame([extreme], schema=EXTREME_SCHEMA)
    table = extreme_origins(shown, examples, responses(), "files")
    assert table.schema == ORIGIN_SCHEMA
    return table.to_dicts()


def test_a_models_response_has_its_call() -> None:
    [row] = origin()
    assert (row["model"], row["end"], row["place"]) == ("small", "largest", 1)
    assert (row["written_by"], row["fingerprint"], row["cost"]) == ("writer", "fp_1", 0.25)


def test_an_irrelevant_response_comes_from_the_item_that_it_was_written_for() -> None:
    [row] = origin(relevance="irrelevant", donor_item_id="item-1")
    assert (row["item_id"], row["written_by"]) == ("item-1", "other")


@pytest.mark.parametrize(
    ("changes", "writer"),
    [
        ({"style": "simplified", "response": SOURCES}, THE_SOURCE),
        ({"style": "none", "response": "2"}, THE_SOURCE),
        ({"style": "none", "relevance": "irrelevant", "donor_item_id": "x"}, THE_SOURCE),
        ({"relevance": "rejected", "response": "It is 3."}, THE_SOURCE),
        ({"style": "detailed_cut", "response": "One and one is two."}, GRADPIPE),
        ({"relevance": "wrong", "response": "One and one is two. The answer is 3"}, GRADPIPE),
        ({"relevance": "wrong"}, "writer"),
    ],
)
def test_other_responses_have_their_writer(changes: dict[str, Any], writer: str) -> None:
    assert [row["written_by"] for row in origin(**changes)] == [writer]


def test_where_it_cannot_be_known_nothing_is_said() -> None:
    assert origin(relevance="irrelevant", response="Shuffled. Sentences.") == []


def test_the_page_says_everything_that_is_known_of_a_call() -> None:
    [row] = origin()
    assert dict(origin_facts(row)) == {
        "written by": "writer",
        "server’s model": "writer-2026",
        "server’s fingerprint": "fp_1",
        "prompt hash": "hash",
        "sampling": "temperature 0.7, seed 3, at most 99 tokens, with "
        '{"chat_template_kwargs": {"enable_thinking": true}}',
        "finish reason": "stop",
        "tokens": "20 of thinking, 10 of the answer, 10 of the prompt",
        "cut from the end": "<|im_end|>",
        "cost": "0.250",
        "time": "1.50 s, 2026-01-02 03:04 UTC",
        "verdict": "passed; answer found: 2",
    }


def test_a_sources_response_has_the_source_and_its_verdict() -> None:
    [row] = origin(style="simplified", response=SOURCES)
    facts = [("written by", "the source (files)"), ("verdict", "passed; answer found: 2")]
    assert origin_facts(row) == facts


def test_tokens_that_cannot_be_divided_are_those_of_the_response() -> None:
    [row] = origin()
    whole = {**row, "answer_tokens": None, "reasoning_tokens": None, "prompt_tokens": None}
    assert dict(origin_facts(whole))["tokens"] == "30 of the response"


def test_a_long_text_of_a_server_is_shortened() -> None:
    [row] = origin()
    facts = dict(origin_facts({**row, "fingerprint": "x" * 10_000}))
    assert len(facts["server’s fingerprint"]) == MOST_FACT_CHARACTERS


def test_the_summary_counts_responses_by_writer() -> None:
    table = writers_table(responses())
    assert table.frame.select("benchmark", "style", "written_by", "responses", "cost").rows() == [
        ("sums", "simplified", THE_SOURCE, 1, None),
        ("sums", "detailed", "other", 1, None),
        ("sums", "detailed", "writer", 1, 0.25),
    ]
    assert table.frame["accepted"].to_list() == [1.0, 1.0, 1.0]
    assert table.frame["mean_tokens"].to_list() == [None, 30.0, 30.0]


def test_a_summary_of_a_sources_responses_alone_says_nothing() -> None:
    of_source = responses().filter(pl.col("written_by") == THE_SOURCE)
    assert writers_table(of_source).frame.is_empty()
    assert writers_table(of_source.clear()).frame.is_empty()
