"""What a study can ask for beside a prompt, and how it changes a call and its key."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from gradpipe.errors import DataError, StudyError
from gradpipe.generators.calls import plan_calls
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.generate import generate
from gradpipe.studies.load import parse_study
from tests.generators.conftest import ChatServer, Store, make_items

# The key of the one call of `plan`, before the settings below existed.
PLAIN = "d439b274b2f538d2aaf2"


def config(**settings: Any) -> GeneratorConfig:
    defaults = {
        "kind": "openai",
        "model": "writer",
        "base_url": "http://localhost:1/v1",
        "styles": ["detailed"],
    }
    return GeneratorConfig.model_validate(defaults | settings)


def plan(**settings: Any) -> pl.DataFrame:
    return plan_calls(make_items(1), config(**settings))


def settings_of(calls: pl.DataFrame) -> list[dict[str, Any]]:
    return [json.loads(settings) for settings in calls["settings"]]


def messages_of(calls: pl.DataFrame) -> list[tuple[str, str]]:
    return [(m["role"], m["content"]) for m in json.loads(calls["messages"][0])]


@pytest.mark.parametrize(
    "settings",
    [{}, {"extra_body": {}}, {"samples": 1}, {"few_shot": []}, {"response_format": None}],
)
def test_what_is_not_set_leaves_no_mark_on_a_key(settings: dict[str, Any]) -> None:
    assert plan(**settings)["key"].to_list() == [PLAIN]


def test_what_is_set_is_another_call() -> None:
    changes: list[dict[str, Any]] = [
        {"extra_body": {"top_p": 0.9}},
        {"extra_body": {"top_p": 0.8}},
        {"response_format": {"type": "json_object"}},
        {"limit_field": "max_completion_tokens"},
        {"system": "Be brief."},
        {"system": ""},
        {"few_shot": [{"user": "1 + 1?", "assistant": "2"}]},
    ]
    keys = [plan(**change)["key"].item() for change in changes]
    assert len({PLAIN, *keys}) == len(changes) + 1


def test_further_fields_are_in_every_request_and_thinking_goes_over_them() -> None:
    body = {"top_k": 3, "chat_template_kwargs": {"tone": "dry", "enable_thinking": False}}
    settings = {"styles": ["detailed", "thinking"], "extra_body": body}
    detailed, thinking = settings_of(plan(**settings, response_format={"type": "json_object"}))
    form = {"response_format": {"type": "json_object"}}
    assert detailed["request"] == body | form
    assert (
        thinking["request"]
        == {
            "top_k": 3,
            "chat_template_kwargs": {"tone": "dry", "enable_thinking": True},
        }
        | form
    )


@pytest.mark.parametrize(
    ("field", "cure"),
    [
        ("model", "`model`"),
        ("messages", "few_shot"),
        ("temperature", "`temperature`"),
        ("seed", "`seed`"),
        ("max_tokens", "`max_tokens`"),
        ("max_completion_tokens", "max_completion_tokens"),
        ("n", "samples"),
        ("stream", "whole"),
    ],
)
def test_a_field_with_a_setting_of_its_own_is_refused_with_its_name(field: str, cure: str) -> None:
    with pytest.raises(StudyError, match=f"extra_body.*{field}.*{cure}"):
        config(extra_body={field: 1})


@pytest.mark.parametrize(
    "body",
    [
        {"api_key": "swordfish"},
        {"provider": {"headers": [{"authorization": "swordfish"}]}},
        {"metadata": {"hf_token": "swordfish"}},
        {"user": "sk-proj-abcdefghijklmnop0123456789"},
    ],
)
def test_a_key_among_further_fields_is_refused_and_not_repeated(body: dict[str, Any]) -> None:
    with pytest.raises(StudyError) as caught:
        config(extra_body=body)
    assert "environment variable" in str(caught.value)
    assert "swordfish" not in str(caught.value)
    assert "abcdefghijklmnop" not in str(caught.value)


def test_fields_that_only_sound_like_keys_are_sent() -> None:
    body = {"prompt_cache_key": "p", "stop_token_ids": [1], "min_tokens": 3, "user": "me"}
    assert settings_of(plan(extra_body=body))[0]["request"] == body


def test_a_form_is_set_once() -> None:
    form = {"type": "json_object"}
    with pytest.raises(StudyError, match="response_format"):
        config(extra_body={"response_format": form}, response_format=form)


@pytest.mark.parametrize(
    "settings",
    [{"extra_body": {"logprobs": True}}, {"extra_body": {"chat_template_kwargs": 1}}],
)
def test_a_local_model_honors_its_sampling_and_its_template_alone(settings: Any) -> None:
    with pytest.raises(StudyError):
        config(kind="transformers", temperature=1, **settings)
    assert config(
        kind="transformers",
        temperature=1,
        extra_body={"top_p": 0.9, "top_k": 5, "min_p": 0.1, "chat_template_kwargs": {"a": 1}},
    )


@pytest.mark.parametrize("kind", ["transformers", "vllm"])
@pytest.mark.parametrize(
    "settings", [{"response_format": {"type": "text"}}, {"max_completion_tokens": 9}]
)
def test_a_local_model_has_no_request(kind: str, settings: dict[str, Any]) -> None:
    with pytest.raises(StudyError, match="kind: openai"):
        config(kind=kind, **settings)


def test_greedy_text_is_not_filtered() -> None:
    with pytest.raises(StudyError, match="top_p.*temperature"):
        config(kind="transformers", extra_body={"top_p": 0.9})


def test_the_limit_has_the_name_that_people_write() -> None:
    written = config(max_completion_tokens=9)
    assert (written.max_tokens, written.limit_field) == (9, "max_completion_tokens")
    [settings] = settings_of(plan(max_completion_tokens=9))
    assert settings["limit_field"] == "max_completion_tokens"
    assert settings["max_tokens"] == 9
    with pytest.raises(StudyError, match="both"):
        config(max_completion_tokens=9, max_tokens=9)
    with pytest.raises(ValidationError):
        config(max_completion_tokens=0)


def test_what_is_set_is_sent(server: ChatServer, store: Store) -> None:
    asked = {
        "base_url": server.url,
        "extra_body": {"reasoning_effort": "low"},
        "response_format": {"type": "json_object"},
        "max_completion_tokens": 9,
        "system": "Be brief.",
        "few_shot": [{"user": "1 + 1?", "assistant": "2"}],
        "temperature": 1,
        "seed": 2**63 - 1,
        "samples": 2,
    }
    generate(plan(**asked), config(**asked), store.keep)
    bodies = [request["body"] for request in server.requests]
    assert {body["seed"] for body in bodies} == {2**63 - 1, 0}
    for body in bodies:
        assert body["reasoning_effort"] == "low"
        assert body["response_format"] == {"type": "json_object"}
        assert body["max_completion_tokens"] == 9
        assert "max_tokens" not in body
        roles = [message["role"] for message in body["messages"]]
        assert roles == ["system", "user", "assistant", "user"]


def test_a_system_message_replaces_the_templates_as_it_is_written() -> None:
    assert messages_of(plan(system='Answer {"json"}.'))[0] == ("system", 'Answer {"json"}.')
    assert [role for role, _ in messages_of(plan(system=" "))] == ["user"]
    assert plan(system="Be brief.")["prompt_hash"].item() != plan()["prompt_hash"].item()


def test_worked_examples_precede_the_question(tmp_path: Path) -> None:
    pairs = [{"user": "1 + 1?", "assistant": "{2}"}, {"user": "2 + 2?", "assistant": "4"}]
    shown = messages_of(plan(few_shot=pairs))
    assert shown[1:5] == [
        ("user", "1 + 1?"),
        ("assistant", "{2}"),
        ("user", "2 + 2?"),
        ("assistant", "4"),
    ]
    assert shown[5][0] == "user"
    file = tmp_path / "shots.jsonl"
    file.write_text("\n".join(map(json.dumps, pairs)) + "\n\n", encoding="utf-8")
    assert plan(few_shot=str(file)).equals(plan(few_shot=pairs))


@pytest.mark.parametrize(
    "pairs",
    [3, ["a"], [{"user": "a"}], [{"user": "a", "assistent": "b"}], [{"user": "a", "assistant": 2}]],
)
def test_examples_of_another_form_are_refused_in_one_sentence(pairs: object) -> None:
    with pytest.raises(StudyError, match=r"few_shot.*user.*assistant.*JSONL"):
        config(few_shot=pairs)


def test_a_file_of_examples_is_beside_the_study(tmp_path: Path) -> None:
    (tmp_path / "shots.jsonl").write_text('{"user": "a", "assistant": "b"}\n')
    text = (
        "models: [m]\nbenchmarks: [gsm8k]\n"
        "generator: {kind: openai, model: w, few_shot: shots.jsonl}\n"
    )
    study = parse_study(text, "s", tmp_path)
    assert study.generator.few_shot == str((tmp_path / "shots.jsonl").resolve())


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "empty"),
        ('{"user": "a"}', "Line 1"),
        ('{"user": "a", "assistant": "b"}\n{"user": ', "Line 2"),
        ('{"user": "a", "assistant": "b", "more": 1}', "Line 1"),
        ("[]", "Line 1"),
    ],
)
def test_a_faulty_file_of_examples_is_named_with_its_line(
    tmp_path: Path, content: str, named: str
) -> None:
    file = tmp_path / "shots.jsonl"
    file.write_text(content)
    with pytest.raises(DataError, match=named) as caught:
        plan(few_shot=str(file))
    assert str(file) in str(caught.value)
    with pytest.raises(DataError, match=r"nowhere\.jsonl"):
        plan(few_shot=str(tmp_path / "nowhere.jsonl"))


def test_each_sample_is_a_call_of_its_own_and_the_first_is_todays() -> None:
    one = plan(temperature=1, seed=5)
    four = plan(temperature=1, seed=5, n=4)
    assert four["item_id"].to_list() == [
        one["item_id"].item() + suffix for suffix in ("", "#2", "#3", "#4")
    ]
    assert four["key"][0] == one["key"].item()
    assert four["key"].n_unique() == 4
    assert [settings["seed"] for settings in settings_of(four)] == [5, 6, 7, 8]
    assert [settings.get("sample") for settings in settings_of(four)] == [None, 1, 2, 3]
    assert four["messages"].n_unique() == 1
    # More samples leave those that were paid for as they are.
    assert plan(temperature=1, seed=5, samples=6).head(4).equals(four)


def test_samples_without_a_seed_stay_without_one() -> None:
    calls = plan(temperature=1, samples=2)
    assert [settings["seed"] for settings in settings_of(calls)] == [None, None]
    assert calls["key"].n_unique() == 2


def test_equal_samples_are_refused() -> None:
    with pytest.raises(StudyError, match="temperature 0.*equal"):
        config(samples=4)
    with pytest.raises(StudyError, match="both"):
        config(samples=4, n=4, temperature=1)
