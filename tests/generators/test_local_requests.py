"""What a local model does with examples, the template's variables, filters and samples."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.generators.calls import plan_calls
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.generate import generate
from tests.generators.conftest import Store, make_items

TEMPLATE = (
    "{% if tone %}<{{ tone }}>{% endif %}"
    "{% for message in messages %}[{{ message.role }}]{{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TEMPLATE
)
SHOTS = [{"user": "1 + 1?", "assistant": "2"}]


@pytest.fixture
def chat_model(small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small model with a chat template."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "chat"
    shutil.copytree(small_model, folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


def configured(model: Path, **settings: Any) -> GeneratorConfig:
    defaults = {"kind": "transformers", "model": str(model), "styles": ["detailed"]}
    return GeneratorConfig.model_validate(defaults | {"max_tokens": 6} | settings)


def rows(config: GeneratorConfig) -> list[dict[str, Any]]:
    store = Store()
    generate(plan_calls(make_items(2), config), config, store.keep)
    return sorted(store, key=lambda row: row["item_id"])


def prompt(model: Path, **settings: Any) -> str:
    """The first call's prompt, as the model reads it."""
    from gradpipe.generators.local import _Writer
    from gradpipe.models.load import load_model

    config = configured(model, temperature=1, **settings)
    writer = _Writer(load_model(str(model)), config)
    call = plan_calls(make_items(1), config).row(0, named=True)
    text = writer._tokenizer.decode(writer.prompt(call).ids)
    assert isinstance(text, str)
    return text


def test_examples_and_variables_are_in_the_prompt(chat_model: Path) -> None:
    body = {"chat_template_kwargs": {"tone": "dry"}}
    text = prompt(chat_model, system="Brief.", few_shot=SHOTS, extra_body=body)
    assert text.replace(" ", "").startswith("<dry>[system]Brief.\n[user]1+1?\n[assistant]2\n[user]")
    assert text.rstrip().endswith("[assistant]")


def test_a_template_without_a_system_role_gets_it_in_the_first_message(chat_model: Path) -> None:
    (chat_model / "chat_template.jinja").write_text(NO_SYSTEM)
    text = prompt(chat_model, system="Brief.", few_shot=SHOTS).replace(" ", "")
    assert text.startswith("[user]Brief.\n\n1+1?\n[assistant]2\n[user]")


def test_the_likeliest_token_alone_is_greedy_text(chat_model: Path) -> None:
    greedy = [row["text"] for row in rows(configured(chat_model))]
    one = configured(chat_model, temperature=1, extra_body={"top_k": 1})
    assert [row["text"] for row in rows(one)] == greedy
    assert [row["text"] for row in rows(configured(chat_model, temperature=1))] != greedy


def test_samples_differ_and_are_the_same_in_every_run(chat_model: Path) -> None:
    config = configured(chat_model, temperature=1.5, samples=3)
    first = pl.DataFrame(rows(config))
    assert first["item_id"].n_unique() == first["text"].n_unique() == 6
    assert rows(config)[0]["text"] == first["text"][0]
    alone = rows(configured(chat_model, temperature=1.5))
    assert {row["text"] for row in alone} < set(first["text"])
