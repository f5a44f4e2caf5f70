"""The settings of a judge: what a study may say, and its prompt."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gradpipe.errors import DataError, GradpipeError, StudyError
from gradpipe.generators.judge import (
    JudgeConfig,
    about_judge,
    load_judge_prompt,
)
from gradpipe.studies.load import parse_study, study_yaml
from tests.generators.conftest import KEY

BASE = "models: [demo]\nbenchmarks: [mini_maths]\n"
TEXTS = {"instruction": "How many {x}?", "response": "Some {y}.", "form": "a number"}


def test_a_model_is_enough(tmp_path: Path) -> None:
    study = parse_study(BASE + "judge: {model: reader, prompt: ./judge.txt}", "my.yaml", tmp_path)
    judge = study.judge
    assert judge is not None
    assert (judge.kind, judge.model, judge.temperature) == ("openai", "reader", 0)
    assert judge.prompt == str(tmp_path / "judge.txt")
    assert parse_study(study_yaml(study), "kept") == study
    assert parse_study(BASE, "my.yaml").judge is None


@pytest.mark.parametrize(
    ("judge", "names"),
    [
        ("{}", "judge.model"),
        ("{kind: openai}", "judge.model"),
        ("{model: m, kind: source}", "judge.kind"),
        ("{model: m, kind: batch}", "judge.kind"),
        ("{model: m, modle: n}", "judge.modle"),
        ("{model: m, styles: [detailed]}", "`styles`"),
        ("{model: m, mismatches: keep}", "`mismatches`"),
        ("{model: m, n: 3}", "`n`"),
        ("{model: m, base_url: 'http://u:p@host/v1'}", "judge's `base_url`"),
        ("{model: m, revision: main}", "The judge 'openai'"),
        ("reader", "`judge`"),
        ("[reader]", "'judge'"),
    ],
)
def test_what_a_judge_cannot_have_is_refused_by_its_name(judge: str, names: str) -> None:
    with pytest.raises(StudyError) as caught:
        parse_study(f"{BASE}judge: {judge}", "my.yaml")
    message = str(caught.value)
    assert names in message
    assert "generator" not in message


@pytest.mark.parametrize("setting", ["key", "api_key", "model", "token"])
def test_a_key_in_its_settings_is_refused_and_not_repeated(setting: str) -> None:
    settings: dict[str, Any] = {"model": "m", setting: KEY}
    with pytest.raises((StudyError, ValidationError)) as caught:
        JudgeConfig.model_validate(settings)
    assert KEY not in str(caught.value)


def test_the_reference_lists_the_judges_settings_alone() -> None:
    listed = JudgeConfig.model_json_schema()["properties"]
    assert {"model", "prompt", "budget", "price", "key"} <= listed.keys()
    assert not {"styles", "prompts", "mismatches", "samples", "few_shot"} & listed.keys()


def test_the_packaged_prompt_keeps_braces_of_the_data() -> None:
    system, user = load_judge_prompt(None).messages(TEXTS)
    assert (system["role"], user["role"]) == ("system", "user")
    assert all(text in user["content"] for text in TEXTS.values())


def test_an_own_prompt_has_a_hash_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("[user]\n{response} ({form})", "utf-8")
    own = load_judge_prompt(str(file))
    assert own.messages(TEXTS) == [{"role": "user", "content": "Some {y}. (a number)"}]
    assert own.hash != load_judge_prompt(None).hash


@pytest.mark.parametrize("content", [b"[user]\n{answer}", b"no section", b"[user]\n\xff", None])
def test_a_prompt_that_cannot_be_used_is_named(content: bytes | None, tmp_path: Path) -> None:
    """The gold answer is not among the texts that it may use."""
    file = tmp_path / "mine.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=r"mine\.txt"):
        load_judge_prompt(str(file))


def test_errors_of_the_shared_machinery_name_the_judge() -> None:
    error = GradpipeError("The generator's server refuses every call.", transient=True)
    about_judge(error)
    assert str(error) == "The judge's server refuses every call."
    assert error.transient
