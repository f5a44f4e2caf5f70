"""Conversations under the protocol ``training``: token for token what TRL's trainer takes."""

from __future__ import annotations

import datetime
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from transformers.utils import chat_template_utils

from gradpipe.conversations.examples import Conversation, Message, Pair, PlainText
from gradpipe.gradients.encoder import Encoder
from gradpipe.gradients.protocol import Protocol, make_protocol
from tests.gradients.chat_template_samples import CHAT_TEMPLATES, tokenizer_for
from tests.gradients.trl_twin import trl_rows

Row = tuple[list[int], list[bool]]

SYSTEM = {"role": "system", "content": "Be brief."}
ASKED: tuple[Message, ...] = (
    {"role": "user", "content": "Add 2 and 2."},
    {"role": "assistant", "content": "4"},
    {"role": "user", "content": "And 3?\n\nSay why."},
)
PLAIN: tuple[Message, ...] = (*ASKED, {"role": "assistant", "content": "It is 7: 4 + 3 = 7."})
THOUGHT: tuple[Message, ...] = (
    *ASKED,
    {"role": "assistant", "content": "It is 7.", "reasoning_content": "4 + 3 = 7"},
)
SPOKEN: tuple[Message, ...] = (
    *ASKED,
    {"role": "assistant", "content": "<think>\n4 + 3 = 7\n</think>\n\nIt is 7."},
)
#: The templates that refuse a system message, and those that show thinking.
NO_SYSTEM, THINKING = {"mistral", "gemma"}, {"qwen-3", "gpt-oss"}
#: What carries loss in PLAIN with ``loss_on: assistant``, by template.
ASSISTANT = {
    "chatml": "4<|im_end|>\n#<|im_end|>\n",
    "llama-2": " 4 </s> # </s>",
    "llama-3": "4<|eot_id|>#<|eot_id|>",
    "mistral": " 4</s> #</s>",
    "gemma": "4<end_of_turn>\n#<end_of_turn>\n",
    "phi-3": "4<|end|>\n#<|end|>\n<|endoftext|>",
    "qwen-2.5": "4<|im_end|>\n#<|im_end|>\n",
    "qwen-3": "4<|im_end|>\n<think>\n\n</think>\n\n#<|im_end|>\n",
    "r1-distill": "4<|end_of_sentence|>#<|end_of_sentence|>",
    "glm-4": "4#",
    "command-r": "4<|END_OF_TURN_TOKEN|>#<|END_OF_TURN_TOKEN|>",
    "gpt-oss": "<|channel|>final<|message|>4<|end|><|channel|>final<|message|>#<|return|>",
    "marked": "4<|im_end|>#<|im_end|>",
}
EACH = pytest.mark.parametrize("name", list(CHAT_TEMPLATES))


def encoded(tokenizer: Any, example: Any, protocol: Protocol) -> Row:
    """The ids of an example and which of them carry loss."""
    row = Encoder(tokenizer, protocol).encode(example)
    assert row.reason is None
    return row.ids, [number in row.positions for number in range(len(row.ids))]


def of_trl(row: Row) -> Row:
    """A row of TRL's; nothing predicts its first token, whatever its label says."""
    ids, loss = row
    return ids, [False, *loss[1:]]


def spoken(tokenizer: Any, example: Any, **changes: Any) -> str:
    """The text that carries loss."""
    row = Encoder(tokenizer, make_protocol("training", **changes)).encode(example)
    assert row.reason is None
    return str(tokenizer.decode([row.ids[position] for position in row.positions]))


def conversations(name: str) -> list[tuple[Message, ...]]:
    of_template = [PLAIN, PLAIN[:2]]
    of_template += [] if name in NO_SYSTEM else [(SYSTEM, *PLAIN)]
    # TRL passes `reasoning_content` under each name that a template may read.
    of_template += [THOUGHT] if name in THINKING else []
    return of_template + ([SPOKEN] if name == "qwen-3" else [])


@EACH
def test_a_whole_conversation_has_trls_tokens(name: str, tmp_path: Path) -> None:
    tokenizer = tokenizer_for(CHAT_TEMPLATES[name])
    rows = conversations(name)
    theirs = trl_rows(tokenizer, [{"messages": list(row)} for row in rows], str(tmp_path))
    protocol = make_protocol("training", loss_on="all")
    ours = [encoded(tokenizer, Conversation(row), protocol) for row in rows]
    assert ours == [of_trl(row) for row in theirs]


@EACH
def test_a_completion_has_trls_tokens_and_labels(name: str, tmp_path: Path) -> None:
    tokenizer = tokenizer_for(CHAT_TEMPLATES[name])
    rows = conversations(name)
    divided = [{"prompt": list(row[:-1]), "completion": list(row[-1:])} for row in rows]
    theirs = trl_rows(tokenizer, divided, str(tmp_path), completion_only=True)
    protocol = make_protocol("training", loss_on="completion")
    ours = [
        encoded(tokenizer, Conversation(row, prompt_messages=len(row) - 1), protocol)
        for row in rows
    ]
    assert ours == [of_trl(row) for row in theirs]


@EACH
def test_the_assistants_turns_carry_loss_with_their_ends(name: str) -> None:
    tokenizer = tokenizer_for(CHAT_TEMPLATES[name])
    last = PLAIN[-1]["content"]
    assert spoken(tokenizer, Conversation(PLAIN)) == ASSISTANT[name].replace("#", last)
    assert spoken(tokenizer, Conversation(PLAIN), loss_on="last").count("4") == last.count("4")
    bare = spoken(tokenizer, Conversation(PLAIN), end_of_turn=False)
    for end in ("<|im_end|>", "</s>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "<|return|>"):
        assert end not in bare
    assert bare.replace("<|channel|>final<|message|>", "").lstrip().startswith("4")
    assert bare.rstrip().endswith(last)


#: TRL's own templates, marked for training: families as they are in use.
MARKED = sorted(
    file.name
    for file in (resources.files("trl") / "chat_templates").iterdir()
    if file.name.endswith("_training.jinja")
)
#: These read contents as parts, which TRL's text trainer does not give them.
OF_IMAGES = {"idefics3_training.jinja", "llava_next_training.jinja", "smolvlm_training.jinja"}
#: Where the marks of TRL's templates say more than what follows the prompt: the line break of the
#: assistant's header (Qwen2.5), a header (DeepSeek, gpt-oss), a think block that the prompt begins.
MARKS_MORE = (
    *("qwen2_5", "deepseek", "gptoss", "muse"),
    *("nemotron", "qwen3_5", "qwen3_6", "qwen3_8"),
)
_MARK = re.compile(r"\{%(-?)\s*(?:end)?generation\s*(-?)%\}")


@pytest.fixture
def on_the_protocols_day(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Clock:
            return cls(2024, 7, 26, tzinfo=tz)

    monkeypatch.setattr(chat_template_utils, "datetime", Clock)


@pytest.mark.usefixtures("on_the_protocols_day")
@pytest.mark.parametrize("name", [name for name in MARKED if name not in OF_IMAGES])
def test_marked_templates_of_todays_families_have_trls_labels(name: str, tmp_path: Path) -> None:
    template = (resources.files("trl") / "chat_templates" / name).read_text("utf-8")
    tokenizer = tokenizer_for(template)
    theirs = trl_rows(tokenizer, [{"messages": list(PLAIN)}], str(tmp_path), assistant_only=True)
    ids, loss = encoded(tokenizer, Conversation(PLAIN), make_protocol("training"))
    assert (ids, loss) == of_trl(theirs[0])
    # Without the marks, the same turns are found by rendering.
    tokenizer.chat_template = _MARK.sub(r"{%\1 if true \2%}{%\1 endif \2%}", template)
    unmarked, found = encoded(tokenizer, Conversation(PLAIN), make_protocol("training"))
    assert unmarked == ids
    assert all(theirs or not ours for theirs, ours in zip(loss, found, strict=True))
    more = [i for i, marked, ours in zip(ids, loss, found, strict=True) if marked and not ours]
    text = re.sub(r"</?think>|<.Assistant.>|<\|start\|>assistant|\s", "", tokenizer.decode(more))
    assert text == ""
    assert not more or name.startswith(MARKS_MORE)


@pytest.mark.usefixtures("on_the_protocols_day")
def test_r1s_thinking_is_that_of_trls_variant_of_its_template(tmp_path: Path) -> None:
    folder = resources.files("trl") / "chat_templates"
    own, variant = (
        tokenizer_for((folder / f"deepseek_r1_distill{end}.jinja").read_text("utf-8"))
        for end in ("", "_training")
    )
    divided = {"prompt": list(SPOKEN[:-1]), "completion": list(SPOKEN[-1:])}
    [theirs] = trl_rows(variant, [divided], str(tmp_path), completion_only=True)
    protocol = make_protocol("training", loss_on="completion")
    assert encoded(own, Conversation(SPOKEN), protocol) == of_trl(theirs)


@pytest.mark.parametrize("text", ["What is 2 + 2? ", "2 + 2 =\n\n"])
def test_texts_end_in_one_eos_as_trls_do(text: str, tmp_path: Path) -> None:
    tokenizer = tokenizer_for(CHAT_TEMPLATES["chatml"], [("Ċ", "Ċ")])
    answers = ["4", "\n4", "4</s>"]
    rows = [{"prompt": text, "completion": answer} for answer in answers]
    theirs = trl_rows(tokenizer, rows, str(tmp_path), completion_only=True)
    protocol = make_protocol("training")
    pairs = [Pair(text, answer, joined=True) for answer in answers]
    assert [encoded(tokenizer, pair, protocol) for pair in pairs] == theirs
    whole = trl_rows(tokenizer, [{"text": text}], str(tmp_path))
    plain = encoded(tokenizer, PlainText(text), protocol)
    assert plain == of_trl(whole[0])
