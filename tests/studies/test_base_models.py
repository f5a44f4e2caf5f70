"""Which models are tuned from which, by their names."""

import pytest

from gradpipe.studies.base_models import find_model_pairs

PAPER = [
    ("google/gemma-2-2b", "google/gemma-2-2b-it"),
    ("google/gemma-2-9b", "google/gemma-2-9b-it"),
    ("meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B-Instruct"),
    ("meta-llama/Llama-2-7b-hf", "meta-llama/Llama-2-7b-chat-hf"),
    ("Qwen/Qwen2-1.5B", "Qwen/Qwen2-1.5B-Instruct"),
]


def test_the_papers_models_are_five_pairs() -> None:
    assert find_model_pairs([name for pair in PAPER for name in pair]) == PAPER
    assert set(find_model_pairs([name for pair in PAPER for name in reversed(pair)])) == set(PAPER)


@pytest.mark.parametrize(
    ("base", "tuned"),
    [
        ("QWEN2-1.5b", "qwen/Qwen2-1.5B-Instruct"),
        ("mistral-7b-v0.1", "mistral-7b-instruct-v0.1"),
        ("Qwen/Qwen2-1.5B@main", "Qwen/Qwen2-1.5B-Instruct@refs/pr/1"),
        ("/models/gemma-2-2b/", "/models/gemma-2-2b-it"),
    ],
)
def test_case_organization_and_revision_do_not_matter(base: str, tuned: str) -> None:
    assert find_model_pairs([tuned, base]) == [(base, tuned)]


@pytest.mark.parametrize(
    "models",
    [
        [],
        ["demo"],
        ["google/gemma-2-2b-it"],
        ["google/gemma-2-2b", "google/gemma-2-9b-it"],
        ["mistral-7b-v0.2", "mistral-7b-instruct-v0.1"],
        ["a/gemma-2-2b", "b/gemma-2-2b", "c/gemma-2-2b-it"],
    ],
)
def test_where_no_one_base_can_be_told_there_is_no_pair(models: list[str]) -> None:
    assert find_model_pairs(models) == []


def test_the_base_of_the_same_organization_is_preferred() -> None:
    models = ["a/gemma-2-2b", "b/gemma-2-2b", "b/gemma-2-2b-it"]
    assert find_model_pairs(models) == [("b/gemma-2-2b", "b/gemma-2-2b-it")]


def test_one_base_may_have_two_tuned_models() -> None:
    models = ["m-7b", "m-7b-chat", "m-7b-instruct"]
    assert find_model_pairs(models) == [("m-7b", "m-7b-chat"), ("m-7b", "m-7b-instruct")]
