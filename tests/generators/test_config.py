"""The generator's settings: what they refuse, and which of them decide a text."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from gradpipe.errors import GradpipeError, StudyError
from gradpipe.generators.budget import TokenPrice
from gradpipe.generators.config import GeneratorConfig

OPENAI = {"kind": "openai", "model": "writer"}
LIKE_A_KEY = "sk-proj-abcdefghijklmnop0123456789"


def config(**settings: Any) -> GeneratorConfig:
    return GeneratorConfig.model_validate(OPENAI | settings)


def test_a_bare_word_is_the_kind() -> None:
    assert GeneratorConfig.model_validate("source") == GeneratorConfig()


@pytest.mark.parametrize("kind", ["openai", "transformers"])
def test_a_generator_needs_its_model(kind: str) -> None:
    with pytest.raises(StudyError, match="needs a model"):
        GeneratorConfig.model_validate(kind)


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 2.1},
        {"temperature": float("nan")},
        {"concurrency": 0},
        {"concurrency": 257},
        {"attempts": 0},
        {"timeout": 0},
        {"max_tokens": 0},
        {"seed": -1},
        {"budget": {"requests": -1}},
        {"price": {"prompt": -1, "response": 1}},
        {"mismatches": "mend"},
        {"temprature": 1},
        {"kind": "telepathy"},
    ],
)
def test_a_setting_out_of_its_range_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**settings)


def test_a_style_that_nobody_writes_is_refused() -> None:
    with pytest.raises(StudyError, match="did you mean 'detailed'"):
        config(styles=["detaild"])
    with pytest.raises(StudyError, match="article"):
        config(styles=["article"])


def test_a_revision_of_a_server_is_refused() -> None:
    with pytest.raises(StudyError, match="revision"):
        config(revision="main")


class Outer(BaseModel):
    """A study that holds a generator."""

    generator: GeneratorConfig


@pytest.mark.parametrize(
    "settings",
    [
        {"key": LIKE_A_KEY},
        {"key": "gsk_a1B2c3D4e5F6g7H8"},
        {"key": "hf_abcdefghijkl"},
        {"key": "0123456789abcdef0123456789abcdef"},
        {"key": "A0B1C2D3E4F5A6B7C8"},
        {"api_key": "no-obvious-shape"},
        {"model": LIKE_A_KEY},
        {"headers": {"Authorization": f"Bearer {LIKE_A_KEY}"}},
        {LIKE_A_KEY: "x"},
        {"base_url": "https://me:swordfish@example.org/v1"},
        {"base_url": "https://example.org/v1?api-key=swordfish"},
    ],
)
@pytest.mark.parametrize("also", [{}, {"temperature": "hot", "concurrency": -1}])
def test_a_key_in_the_settings_is_refused_and_not_repeated(
    settings: dict[str, Any], also: dict[str, Any]
) -> None:
    with pytest.raises((StudyError, ValidationError)) as caught:
        Outer.model_validate({"generator": OPENAI | settings | also})
    secret = next(iter(settings.values()))
    words = (str(secret), LIKE_A_KEY, "swordfish")
    assert not [word for word in words if word in str(caught.value)]
    if not also:
        assert isinstance(caught.value, StudyError)


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "my_key", "KEY_2", "_K"])
def test_a_variables_name_is_no_key(name: str) -> None:
    assert config(key=name).key == name


@pytest.mark.parametrize("url", ["example.org/v1", "ftp://example.org", "http://", "http://a:b/"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(StudyError, match="base_url"):
        config(base_url=url)


def test_one_server_has_one_spelling() -> None:
    assert config(base_url="http://Localhost:8000/v1/").base_url == "http://localhost:8000/v1"


def test_without_an_address_the_clients_own_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert config().address == "https://api.openai.com/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1/v1/")
    assert config().address == "http://localhost:1/v1"
    assert config().identity()["base_url"] == "http://localhost:1/v1"
    assert config(base_url="http://b/v1").address == "http://b/v1"


def test_the_address_is_the_one_the_client_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    import openai

    assert str(openai.OpenAI(api_key="x").base_url).rstrip("/") == config().address
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1/v1/")
    assert str(openai.OpenAI(api_key="x").base_url).rstrip("/") == config().address


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "other"},
        {"base_url": "http://elsewhere/v1"},
        {"temperature": 0.5},
        {"max_tokens": 7},
        {"seed": 1},
    ],
)
def test_what_changes_the_text_changes_the_identity(settings: dict[str, Any]) -> None:
    assert config(**settings).identity() != config().identity()


@pytest.mark.parametrize(
    "settings",
    [
        {"concurrency": 1},
        {"batch": 1},
        {"attempts": 1},
        {"timeout": 1},
        {"budget": {"requests": 1}},
        {"price": {"prompt": 1, "response": 1}},
        {"key": "OTHER"},
        {"mismatches": "keep"},
        {"styles": ["simplified"]},
    ],
)
def test_what_leaves_the_text_alone_leaves_the_identity_alone(settings: dict[str, Any]) -> None:
    assert config(**settings).identity() == config().identity()


def test_a_local_model_is_known_by_its_weights(
    small_model: Path, other_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def identity(model: Path, **settings: Any) -> dict[str, Any]:
        return config(kind="transformers", model=str(model), **settings).identity()

    assert identity(small_model) == identity(small_model, batch=1, base_url="http://a/v1")
    assert identity(small_model) != identity(other_model)
    assert identity(small_model) != identity(small_model, dtype="bfloat16")
    # Greedy text has no seed.
    assert identity(small_model, seed=1) == identity(small_model)
    assert identity(small_model, temperature=1, seed=1) != identity(small_model, temperature=1)


def test_a_local_model_that_is_not_there_is_named() -> None:
    with pytest.raises(GradpipeError, match="no model at"):
        config(kind="transformers", model="/not/there").identity()


def test_prices_are_per_million_tokens() -> None:
    assert TokenPrice(prompt=2, response=10).cost(500_000, 100_000) == pytest.approx(2.0)


@pytest.mark.parametrize("field", ["model", "messages", "max_tokens", "temperature", "stream"])
def test_thinking_is_not_switched_on_by_fields_with_settings_of_their_own(field: str) -> None:
    with pytest.raises(StudyError, match=f"thinking_request.*{field}"):
        GeneratorConfig(kind="openai", model="m", thinking_request={field: 1})
