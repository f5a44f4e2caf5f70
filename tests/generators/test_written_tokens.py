"""The tokens of a local model: where its turn ends, what it thought, and what is cut."""

from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from gradpipe.generators.written_tokens import TokenReader, WrittenText, end_tokens
from gradpipe.gradients.chat_templates import ChatTemplate
from gradpipe.gradients.protocol import make_protocol

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PLAIN = "{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}[assistant]"
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")


def make_tokenizer(template: str) -> Any:
    """One token per byte and per special token; its end is that of a text."""
    words = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({word: place for place, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=template)
    fast.add_special_tokens(
        {"eos_token": SPECIAL[0], "additional_special_tokens": list(SPECIAL[1:])}
    )
    return fast


def read(text: str, inside: bool = False) -> WrittenText:
    tokenizer = make_tokenizer(CHATML)
    reader = TokenReader(tokenizer, [tokenizer.eos_token_id])
    return reader.read(tokenizer(text, add_special_tokens=False)["input_ids"], inside)


@pytest.mark.parametrize(
    ("template", "ends"), [(CHATML, ["<|endoftext|>", "<|im_end|>"]), (PLAIN, ["<|endoftext|>"])]
)
def test_a_turn_ends_as_the_template_ends_it(template: str, ends: list[str]) -> None:
    tokenizer = make_tokenizer(template)
    model = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=None))
    chat = ChatTemplate(tokenizer, make_protocol(), "m")
    assert [tokenizer.decode([end]) for end in end_tokens(model, tokenizer, chat)] == ends


@pytest.mark.parametrize(
    ("text", "inside", "written"),
    [
        ("It is 4.", False, (None, "It is 4.", None, None)),
        (" It is 4.\n", False, (None, " It is 4.\n", None, None)),
        ("<think>Two.</think>It is 4.", False, ("Two.", "It is 4.", 6, None)),
        ("Two.</think>\n\nIt is 4.", True, ("Two.", "It is 4.", 5, None)),
        ("Two and", True, ("Two and", "", 7, None)),
        ("Two.</think>", True, ("Two.", "", 5, None)),
        ("It is 4.</s>\nuser\nMore", False, (None, "It is 4.", None, "</s>\nuser\nMore")),
        (
            "Two.</think>It is 4.<|im_end|>\n<|im_start|>user\n",
            True,
            ("Two.", "It is 4.", 5, "<|im_end|>\n<|im_start|>user"),
        ),
    ],
)
def test_thinking_answer_and_cut(text: str, inside: bool, written: tuple[Any, ...]) -> None:
    assert read(text, inside) == written
