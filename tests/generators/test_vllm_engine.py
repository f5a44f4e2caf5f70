"""A model that vLLM loads in this process: tested with a stand-in of the same signatures."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gradpipe.errors import GradpipeError, ModelError
from gradpipe.generators import vllm_engine
from gradpipe.generators.calls import plan_calls
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.generate import GenerationSummary, generate
from tests.generators.conftest import Store, make_items

PROMPT, OPENED = [1, 2, 3], [1, 2, 4]
TOKENS = {1: "<|user|>", 2: "hi", 3: "<|assistant|>", 4: "<think>\n", 5: "<|end|>"}
#: The numbers of all other tokens, which are characters.
CHARACTERS = 1000


def tokens_of(text: str) -> list[int]:
    body, *ends = text.split(TOKENS[5])
    return [CHARACTERS + ord(character) for character in body] + [5] * len(ends)


@dataclass
class SamplingParams:
    """What is used of vLLM's, with its defaults."""

    n: int = 1
    repetition_penalty: float = 1.0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = 16
    skip_special_tokens: bool = True


@dataclass
class CompletionOutput:
    """One text."""

    index: int
    text: str
    token_ids: list[int]
    cumulative_logprob: float | None = None
    logprobs: Any = None
    finish_reason: str | None = None
    stop_reason: int | str | None = None


@dataclass
class RequestOutput:
    """The texts of one prompt."""

    request_id: str
    prompt: str | None
    prompt_token_ids: list[int] | None
    outputs: list[CompletionOutput]
    finished: bool = True


class FakeTokenizer:
    """Decodes the tokens above."""

    all_special_tokens = ("<|user|>", "<|assistant|>", "<|end|>")
    eos_token_id = 5

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        kept = [i for i in ids if not (skip_special_tokens and i in (1, 3, 5))]
        return "".join(TOKENS.get(i) or chr(i - CHARACTERS) for i in kept)


@dataclass
class FakeEngine:
    """The stand-in's state: how it was made, what it was asked, and what it answers."""

    made: list[dict[str, Any]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    text: str = "It is {number}.<|end|>"
    prompt: list[int] = field(default_factory=lambda: PROMPT)
    finish: str = "stop"
    refused: int | None = None

    def module(self) -> ModuleType:
        engine = self

        class LLM:
            def __init__(
                self,
                model: str,
                *,
                tokenizer: str | None = None,
                dtype: str = "auto",
                revision: str | None = None,
                seed: int = 0,
                **settings: Any,
            ) -> None:
                own = {"model": model, "tokenizer": tokenizer, "dtype": dtype, "revision": revision}
                engine.made.append(own | settings)

            def get_tokenizer(self) -> FakeTokenizer:
                return FakeTokenizer()

            def chat(
                self,
                messages: list[list[dict[str, str]]],
                sampling_params: list[SamplingParams] | None = None,
                use_tqdm: bool = True,
                lora_request: Any = None,
                chat_template: str | None = None,
                chat_template_content_format: str = "auto",
                add_generation_prompt: bool = True,
                continue_final_message: bool = False,
                tools: Any = None,
                chat_template_kwargs: dict[str, Any] | None = None,
                mm_processor_kwargs: Any = None,
            ) -> list[RequestOutput]:
                assert sampling_params is not None
                assert not use_tqdm
                return engine.answers(messages, sampling_params, chat_template_kwargs)

        module = ModuleType("vllm")
        module.LLM, module.SamplingParams = LLM, SamplingParams  # type: ignore[attr-defined]
        return module

    def answers(
        self,
        messages: list[list[dict[str, str]]],
        params: list[SamplingParams],
        variables: dict[str, Any] | None,
    ) -> list[RequestOutput]:
        numbers = [
            int(one[-1]["content"].partition("number ")[2].partition(":")[0]) for one in messages
        ]
        self.asked.append({"messages": messages, "params": params, "variables": variables})
        if self.refused in numbers:
            raise ValueError("The decoder prompt (length 9) is longer than the maximum of 8.")
        texts = [self.text.format(number=number) for number in numbers]
        outputs = [
            CompletionOutput(0, text, tokens_of(text), finish_reason=self.finish) for text in texts
        ]
        return [
            RequestOutput(str(place), None, self.prompt, [output])
            for place, output in enumerate(outputs)
        ]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeEngine:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    engine = FakeEngine()
    monkeypatch.setitem(sys.modules, "vllm", engine.module())
    return engine


def configured(model: Path, **settings: Any) -> GeneratorConfig:
    defaults = {"kind": "vllm", "model": str(model), "styles": ["detailed"], "dtype": "bfloat16"}
    return GeneratorConfig.model_validate(defaults | settings)


def run(config: GeneratorConfig, store: Store, count: int = 3) -> GenerationSummary:
    return generate(plan_calls(make_items(count), config), config, store.keep)


def test_every_call_is_asked_with_its_own_settings(
    engine: FakeEngine, small_model: Path, store: Store
) -> None:
    config = configured(
        small_model,
        temperature=0.7,
        max_tokens=9,
        system="Brief.",
        extra_body={"top_p": 0.5, "chat_template_kwargs": {"tone": "dry"}},
    )
    assert run(config, store).kept == 3
    [made] = engine.made
    assert made == {
        "model": str(small_model),
        "tokenizer": None,
        "dtype": "bfloat16",
        "revision": None,
    }
    [asked] = engine.asked
    assert asked["variables"] == {"tone": "dry"}
    assert [messages[0] for messages in asked["messages"]] == [
        {"role": "system", "content": "Brief."}
    ] * 3
    for params in asked["params"]:
        assert (params.temperature, params.top_p, params.max_tokens) == (0.7, 0.5, 9)
        assert not params.skip_special_tokens
    assert len({params.seed for params in asked["params"]}) == 3
    row = next(row for row in store if "number 0" in row["messages"])
    assert (row["text"], row["finish_reason"]) == ("It is 0.", "stop")
    assert (row["prompt_tokens"], row["response_tokens"]) == (3, len("It is 0.") + 1)


def test_samples_have_seeds_of_their_own(
    engine: FakeEngine, small_model: Path, store: Store
) -> None:
    run(configured(small_model, temperature=1, samples=4), store, 2)
    seeds = [params.seed for asked in engine.asked for params in asked["params"]]
    assert len(set(seeds)) == 8
    assert len({row["item_id"] for row in store}) == 8


def test_greedy_text_has_no_seed(engine: FakeEngine, small_model: Path, store: Store) -> None:
    run(configured(small_model), store)
    assert {params.seed for params in engine.asked[0]["params"]} == {None}


def test_thinking_is_kept_apart_and_asked_for_in_its_styles_alone(
    engine: FakeEngine, small_model: Path, store: Store
) -> None:
    engine.prompt, engine.text = OPENED, "Hm.\n</think>\n\nIt is {number}.<|end|>"
    run(configured(small_model, styles=["detailed", "thinking"]), store)
    variables = [asked["variables"] for asked in engine.asked]
    assert sorted(variables, key=str) == [None, {"enable_thinking": True}]
    assert {(row["reasoning"], row["text"]) for row in store} == {
        ("Hm.", f"It is {number}.") for number in range(3)
    }
    assert {row["reasoning_tokens"] for row in store} == {len("Hm.\n</think>")}


def test_a_prompt_that_is_refused_is_named_and_the_others_are_kept(
    engine: FakeEngine, small_model: Path, store: Store
) -> None:
    engine.refused = 1
    summary = run(configured(small_model), store)
    assert summary.kept == 2
    [reason] = summary.failed.values()
    assert "longer than the maximum" in reason


def test_an_empty_response_is_named(engine: FakeEngine, small_model: Path, store: Store) -> None:
    engine.text, engine.finish = "<|end|>", "length"
    assert "length" in next(iter(run(configured(small_model), store).failed.values()))


def test_many_prompts_are_stored_part_by_part_within_the_budget(
    engine: FakeEngine, small_model: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_engine, "PROMPTS_AT_ONCE", 2)
    summary = run(configured(small_model, budget={"requests": 5}), store, 7)
    assert store.heights == [2, 2, 1]
    assert (summary.kept, summary.left) == (5, 2)
    assert summary.stopped is not None
    assert "budget" in summary.stopped


def test_its_calls_are_known_by_weights_and_are_not_those_of_transformers(
    engine: FakeEngine, small_model: Path, other_model: Path
) -> None:
    def identity(model: Path, **settings: Any) -> str:
        return json.dumps(configured(model, **settings).identity(), sort_keys=True)

    plain = identity(small_model)
    assert identity(small_model, batch=1) == plain
    others = [
        identity(other_model),
        identity(small_model, dtype="float32"),
        identity(small_model, kind="transformers"),
        identity(small_model, temperature=1),
        identity(small_model, temperature=1, seed=1),
    ]
    assert len({plain, *others}) == 1 + len(others)


def test_without_vllm_one_sentence_says_how_to_install_it(
    small_model: Path, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(GradpipeError, match="pip install vllm"):
        run(configured(small_model), store)


def test_a_model_that_vllm_cannot_load_is_named(
    engine: FakeEngine, small_model: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(sys.modules["vllm"].LLM, "__init__", refuse)
    with pytest.raises(ModelError, match="no kernel image"):
        run(configured(small_model), store)


def test_a_field_that_vllm_does_not_sample_by_is_refused(small_model: Path) -> None:
    with pytest.raises(GradpipeError, match="reasoning_effort"):
        configured(small_model, extra_body={"reasoning_effort": "low"})
