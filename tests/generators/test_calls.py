"""Which calls items need, and what makes two calls the same."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.read import read_items
from gradpipe.errors import DataError
from gradpipe.generators.calls import PLAN_SCHEMA, plan_calls
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.written_styles import MAX_TOKENS
from gradpipe.styles import THINKING_STYLES
from tests.generators.conftest import make_items


def config(**settings: Any) -> GeneratorConfig:
    defaults = {"kind": "openai", "model": "writer", "base_url": "http://localhost:1/v1"}
    return GeneratorConfig.model_validate(defaults | settings)


def asked(calls: pl.DataFrame) -> list[tuple[str, str]]:
    return list(calls.select("item_id", "style").iter_rows())


def test_reasoning_gets_its_two_styles_and_knowledge_its_three_lengths() -> None:
    sums, facts = make_items(2), make_items(2, "knowledge", "facts")
    calls = plan_calls(pl.concat([sums, facts]), config())
    lengths = ["length_100", "length_500", "length_1000"]
    expected = [(item, style) for item in sums["item_id"] for style in ("simplified", "detailed")]
    expected += [(item, style) for item in facts["item_id"] for style in lengths]
    assert asked(calls) == expected
    assert calls.schema == PLAN_SCHEMA
    assert calls["max_tokens"].to_list() == [MAX_TOKENS[style] for _, style in expected]


def test_a_ready_made_response_needs_no_call() -> None:
    calls = plan_calls(make_items(2, simplified="Easily."), config())
    assert set(calls["style"]) == {"detailed"}


def test_a_style_that_is_named_is_written_all_the_same() -> None:
    calls = plan_calls(make_items(2, simplified="Easily."), config(styles=["simplified"]))
    assert calls["style"].to_list() == ["simplified"] * 2


def test_a_wrong_response_is_no_ready_made_one() -> None:
    items = make_items(1, detailed="Well.")
    wrong = pl.col("responses").list.eval(
        pl.struct(
            pl.element().struct.field("style"),
            pl.lit("irrelevant").alias("relevance"),
            pl.element().struct.field("text"),
        )
    )
    assert "detailed" in set(plan_calls(items.with_columns(wrong), config())["style"])


def test_styles_of_another_family_and_the_bare_answer_need_no_call() -> None:
    styles = ["none", "simplified", "length_100"]
    assert plan_calls(make_items(1), config(styles=styles))["style"].to_list() == ["simplified"]
    assert plan_calls(make_items(1), config(styles=["none"])).is_empty()


def test_the_source_writes_nothing() -> None:
    calls = plan_calls(make_items(2), GeneratorConfig())
    assert calls.is_empty()
    assert calls.schema == PLAN_SCHEMA


def test_no_items_need_no_calls() -> None:
    assert plan_calls(make_items(2).clear(), config()).schema == PLAN_SCHEMA


def test_a_renamed_benchmark_asks_the_same() -> None:
    old, new = (
        plan_calls(make_items(3), config()),
        plan_calls(make_items(3, benchmark="x"), config()),
    )
    assert old["key"].to_list() == new["key"].to_list()
    assert set(old["item_id"]).isdisjoint(new["item_id"])


def test_twins_share_a_key() -> None:
    items = make_items(1)
    twin = items.with_columns(item_id=pl.lit("twin"))
    calls = plan_calls(pl.concat([items, twin]), config(styles=["detailed"]))
    assert calls.height == 2
    assert calls["key"].n_unique() == 1


def test_prompt_and_settings_make_the_key(tmp_path: Path) -> None:
    (tmp_path / "detailed.txt").write_text("[user]\nOther words: {instruction}")
    changes: list[dict[str, Any]] = [
        {},
        {"model": "b"},
        {"temperature": 1},
        {"max_tokens": 9},
        {"seed": 3},
        {"base_url": "http://localhost:2/v1"},
        {"prompts": str(tmp_path)},
    ]
    plans = [plan_calls(make_items(2), config(styles=["detailed"], **each)) for each in changes]
    assert len({key for plan in plans for key in plan["key"]}) == 2 * len(changes)


def test_what_a_style_may_take_by_default_is_the_same_call_as_when_it_is_written_out() -> None:
    explicit = config(styles=["detailed"], max_tokens=MAX_TOKENS["detailed"])
    assert plan_calls(make_items(1), explicit).equals(
        plan_calls(make_items(1), config(styles=["detailed"]))
    )


def test_a_call_says_all_that_was_asked() -> None:
    [call] = plan_calls(make_items(1), config(styles=["detailed"], max_tokens=9)).to_dicts()
    assert [message["role"] for message in json.loads(call["messages"])] == ["system", "user"]
    assert json.loads(call["settings"]) == {
        "kind": "openai",
        "model": "writer",
        "base_url": "http://localhost:1/v1",
        "temperature": 0.0,
        "max_tokens": 9,
        "seed": None,
    }


def test_an_item_without_the_answer_its_prompt_needs_is_named() -> None:
    items = make_items(2).with_columns(answer=pl.lit(None, dtype=pl.String))
    with pytest.raises(DataError, match="has no answer"):
        plan_calls(items, config())


def test_real_items_are_planned_and_those_with_responses_left_out() -> None:
    items = read_items(BenchmarkConfig(name="mini_maths", source="mini"))
    assert plan_calls(items, config()).is_empty()
    calls = plan_calls(items, config(styles=["detailed"]))
    assert calls.height == items.height
    assert calls["key"].n_unique() == items.height


def test_a_thinking_models_styles_are_one_call_planned_only_where_they_are_listed() -> None:
    items = make_items(2)
    plain = plan_calls(items, config())
    assert set(plain["style"]) == {"simplified", "detailed"}
    listed = plan_calls(items, config(), ["none", "thinking", "answer_only"])
    named = plan_calls(items, config(styles=["thinking", "answer_only"]))
    thinking = listed.filter(pl.col("style").is_in(list(THINKING_STYLES)))
    assert thinking.equals(named)
    assert thinking.filter(style="thinking")["key"].equals(
        thinking.filter(style="answer_only")["key"]
    )
    # The calls that were planned before stay the same calls.
    assert listed.join(thinking, on=["key", "style"], how="anti").equals(plain)


def test_what_makes_a_model_think_is_part_of_the_key_of_its_thinking_alone() -> None:
    items = make_items(1)
    styles = ["detailed", "thinking"]
    one = plan_calls(items, config(styles=styles))
    other = plan_calls(items, config(styles=styles, thinking_request={"reasoning_effort": "high"}))
    assert [*zip(one["style"], one["key"] == other["key"], strict=True)] == [
        ("detailed", True),
        ("thinking", False),
    ]
    assert one.equals(plan_calls(items, config(styles=styles)))
    earlier = {
        "key": "d439b274b2f538d2aaf2",
        "settings": {
            "base_url": "http://localhost:1/v1",
            "kind": "openai",
            "max_tokens": 2048,
            "model": "writer",
            "seed": None,
            "temperature": 0.0,
        },
    }
    assert (one["key"][0], json.loads(one["settings"][0])) == tuple(earlier.values())
