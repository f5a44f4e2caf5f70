"""The JSON schema of studies: what it accepts is what is read."""

from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from gradpipe.studies.schema import study_schema
from gradpipe.studies.shipped import shipped_studies
from tests.conftest import ROOT

jsonschema = pytest.importorskip("jsonschema")
BASE: dict[str, Any] = {"models": ["demo"], "benchmarks": ["mini_maths"]}
PACKAGED = [Path(str(resources.files("gradpipe.studies") / f"{s}.yaml")) for s in shipped_studies()]
FILES = [*PACKAGED, *sorted((ROOT / "tests/studies").glob("*.yaml")), ROOT / "deploy/study.yaml"]


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = study_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_study_of_the_project_is_valid(file: Path, validator: Any) -> None:
    assert list(validator.iter_errors(yaml.safe_load(file.read_text("utf-8")))) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"models": [{"id": "runs/sft", "checkpoints": "checkpoint-*"}, {"id": "x", "chat": False}]},
        {"benchmarks": [{"name": "a", "source": "files", "columns": {"responses": {"none": "b"}}}]},
        {"protocol": {"max_length": 512}, "generator": "source", "sample": None},
        {"generator": {"kind": "openai", "model": "m", "n": 3}, "automation": "nightly"},
        {"benchmarks": [{"name": "w", "source": "wikipedia", "wikipedia": {"titles": "t.txt"}}]},
        {"styles": ["none", "detailed"]},
        {"styles": {"none": None, "a": {"label": "A", "color": "#0072B2", "column": "GPT-4o"}}},
        {"styles": {"a": {"colour": "#0072B2"}, "a_cut": None}},
    ],
)
def test_short_and_long_forms_are_valid(settings: dict[str, Any], validator: Any) -> None:
    assert list(validator.iter_errors(BASE | settings)) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"sampel": 3},
        {"sample": 0},
        {"models": [{"name": "no id"}]},
        {"benchmarks": ["gsm8"]},
        {"benchmarks": [{"name": "gsm8k", "sampel": 3}]},
        {"protocol": "papr"},
        {"protocol": {"max_lenght": 3}},
        {"statistics": ["nuclear"]},
        {"relevances": ["corect"]},
        {"generator": {"kind": "opnai"}},
        {"styles": {}},
        {"styles": {"a": {"colr": "#0072B2"}}},
        {"styles": {"a": {"color": "blue"}}},
        {"styles": {"a": {"label": 3}}},
        {"styles": {"a": "A"}},
        {"styles": {"Teacher A": None}},
    ],
)
def test_a_mistake_is_invalid(settings: dict[str, Any], validator: Any) -> None:
    assert list(validator.iter_errors(BASE | settings)) != []


def test_every_setting_is_described() -> None:
    schema = study_schema()
    objects = {"study": schema, **schema["$defs"]}
    bare = [
        f"{name}.{key}"
        for name, one in objects.items()
        for key, setting in one.get("properties", {}).items()
        if not setting.get("description") or "``" in setting["description"]
    ]
    assert bare == []
