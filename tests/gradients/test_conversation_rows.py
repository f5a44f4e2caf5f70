"""Conversations under every protocol: what is prompt, what carries loss, what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gradpipe.conversations.examples import (
    Conversation,
    Message,
    Pair,
    PlainText,
    TextSpan,
    TokenIds,
)
from gradpipe.errors import ModelError, StudyError
from gradpipe.gradients.encoder import Encoder
from gradpipe.gradients.protocol import PAPER, STANDARD, TRAINING, Protocol, make_protocol
from gradpipe.gradients.tokens import TokenRow
from tests.gradients.chat_template_samples import (
    CHAT_TEMPLATES,
    CHATML,
    GPT_OSS,
    LLAMA_2,
    LLAMA_3,
    MISTRAL,
    QWEN_2_5,
    QWEN_3,
    R1_DISTILL,
    tokenizer_for,
)

ASKED: Message = {"role": "user", "content": "Add 2 and 2."}
SAID: Message = {"role": "assistant", "content": "4"}
PAIR = Conversation((ASKED, SAID))
THOUGHT: Message = {**SAID, "reasoning_content": "2 + 2 = 4"}


def encode(template: str, example: Any, protocol: Protocol = TRAINING) -> tuple[Any, TokenRow]:
    tokenizer = tokenizer_for(template)
    return tokenizer, Encoder(tokenizer, protocol).encode(example)


def texts(template: str, example: Any, protocol: Protocol = TRAINING) -> tuple[str, str]:
    """The whole text of a row, and the part that carries loss."""
    tokenizer, row = encode(template, example, protocol)
    assert row.reason is None
    spoken = [row.ids[position] for position in row.positions]
    return tokenizer.decode(row.ids), tokenizer.decode(spoken)


def reason(template: str, *messages: Message, protocol: Protocol = TRAINING) -> str:
    _, row = encode(template, Conversation(messages), protocol)
    assert row.response_tokens == 0
    return row.reason or ""


@pytest.mark.parametrize("protocol", [PAPER, STANDARD, TRAINING], ids=lambda p: p.preset)
@pytest.mark.parametrize("name", list(CHAT_TEMPLATES))
def test_a_pair_is_the_simplest_conversation(name: str, protocol: Protocol) -> None:
    tokenizer = tokenizer_for(CHAT_TEMPLATES[name])
    encoder = Encoder(tokenizer, protocol)
    pair = Pair(ASKED["content"], SAID["content"])
    if protocol is PAPER and name in ("mistral", "gemma"):
        # The reference's system message, which these templates refuse.
        with pytest.raises(ModelError):
            encoder.encode(pair)
        assert encoder.encode(PAIR).reason is not None
    else:
        row = encoder.encode(pair)
        assert row.reason is None
        assert encoder.encode(PAIR) == row


def test_standard_puts_the_last_message_behind_the_prompt_for_it() -> None:
    turns = (*PAIR.messages, {"role": "user", "content": "And 3?"}, {**SAID, "content": "7"})
    whole, spoken = texts(CHATML, Conversation(turns), STANDARD)
    assert spoken == "7"
    assert whole.endswith("<|im_start|>user\nAnd 3?<|im_end|>\n<|im_start|>assistant\n7")
    assert whole.startswith("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n")
    own = Conversation(({"role": "system", "content": "Be brief."}, *turns))
    assert texts(CHATML, own, STANDARD)[0].count("<|im_start|>system") == 1


def test_the_training_protocol_leaves_the_system_message_to_the_template() -> None:
    whole, spoken = texts(QWEN_2_5, PAIR)
    assert whole.startswith("<|im_start|>system\nYou are a model of the tests.<|im_end|>\n")
    assert spoken == "4<|im_end|>\n"
    assert "system" not in texts(CHATML, PAIR)[0]


def test_thinking_that_is_a_field_of_its_own_is_written_as_a_block_behind_the_prompt() -> None:
    row = Conversation((ASKED, THOUGHT))
    assert texts(CHATML, row, STANDARD)[1] == "<think>\n2 + 2 = 4\n</think>\n\n4"
    # A prompt that opens the block opens it once.
    whole, _ = texts(R1_DISTILL, row, STANDARD)
    assert whole.count("<think>") == 1
    assert whole.endswith("<|Assistant|><think>\n2 + 2 = 4\n</think>\n\n4")


@pytest.mark.parametrize("field", ["reasoning_content", "thinking", "reasoning"])
@pytest.mark.parametrize("template", [QWEN_3, GPT_OSS], ids=["qwen-3", "gpt-oss"])
def test_thinking_is_shown_under_whatever_name_the_template_reads(
    template: str, field: str
) -> None:
    _, spoken = texts(template, Conversation((ASKED, {**SAID, field: "2 + 2 = 4"})))
    assert "2 + 2 = 4" in spoken


def test_thinking_that_a_template_does_not_know_makes_the_row_unusable() -> None:
    assert "thinking" in reason(CHATML, ASKED, THOUGHT)


def test_the_responses_thinking_stays_where_a_template_drops_that_of_all_turns() -> None:
    inside = {**SAID, "content": "<think>\n2 + 2 = 4\n</think>\n\n4"}
    whole, spoken = texts(R1_DISTILL, Conversation((ASKED, inside)))
    assert whole.endswith("<|Assistant|><think>\n2 + 2 = 4\n</think>\n\n4<|end_of_sentence|>")
    assert spoken == "2 + 2 = 4\n</think>\n\n4<|end_of_sentence|>"
    assert texts(R1_DISTILL, Conversation((ASKED, THOUGHT)))[1] == spoken
    # Of earlier turns, templates drop it on purpose.
    later = (ASKED, inside, {"role": "user", "content": "And 3?"}, {**SAID, "content": "7"})
    end = "<|end_of_sentence|>"
    assert texts(R1_DISTILL, Conversation(later))[1] == f"\n\n4{end}7{end}"


def test_a_response_without_thinking_has_the_templates_off_switch_where_asked_for() -> None:
    plain, auto = TRAINING, make_protocol("training", thinking="auto")
    assert texts(QWEN_3, PAIR, plain)[1] == "<think>\n\n</think>\n\n4<|im_end|>\n"
    assert texts(QWEN_3, PAIR, auto)[1] == "4<|im_end|>\n"
    assert texts(QWEN_3, PAIR, auto)[0] == texts(QWEN_3, PAIR, plain)[0]
    thought = Conversation((ASKED, THOUGHT))
    assert texts(QWEN_3, thought, auto) == texts(QWEN_3, thought, plain)
    # What the study, the model or the row sets goes first.
    told = make_protocol(
        "training", thinking="auto", chat_template_kwargs={"enable_thinking": True}
    )
    assert texts(QWEN_3, PAIR, told) == texts(QWEN_3, PAIR, plain)
    row = replace(PAIR, template_settings={"enable_thinking": False})
    assert texts(QWEN_3, row, told) == texts(QWEN_3, PAIR, auto)


def test_a_template_of_the_protocols_replaces_the_tokenizers() -> None:
    laid_over = make_protocol("training", chat_template=LLAMA_3)
    tokenizer = tokenizer_for(LLAMA_3)
    expected = Encoder(tokenizer, TRAINING).encode(PAIR)
    tokenizer.chat_template = CHATML
    assert Encoder(tokenizer, laid_over).encode(PAIR) == expected
    tokenizer.chat_template = None
    assert Encoder(tokenizer, laid_over).encode(PAIR) == expected


def test_a_call_of_a_tool_is_a_turn_of_the_assistants() -> None:
    call = {"type": "function", "function": {"name": "add", "arguments": {"a": 2, "b": 2}}}
    turns = (
        ASKED,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "4"},
        SAID,
    )
    whole, spoken = texts(QWEN_2_5, Conversation(turns, tools=({"name": "add"},)))
    assert 'Tools: [{"name": "add"}]' in whole
    assert '<tool_call>\n{"name": "add"' in spoken
    assert spoken.count("<|im_end|>\n") == 2
    assert spoken.endswith("4<|im_end|>\n")
    assert "tool" in reason(QWEN_2_5, *turns[:2], protocol=STANDARD)
    # A template that knows no tools would train on an empty turn.
    assert "'add'" in reason(CHATML, *turns)
    assert "'add'" in reason(CHATML, *turns, protocol=STANDARD)


def test_what_the_template_refuses_or_changes_is_a_reason() -> None:
    assert "alternate" in reason(MISTRAL, ASKED, SAID, SAID)
    assert "user" in reason(
        CHATML.replace("m.content", "m.content | upper"), ASKED, {**SAID, "content": "4"}
    )
    assert "response" in reason(
        CHATML.replace("m.content", "m.content | replace('4', 'four')"), ASKED, SAID
    )


def test_a_template_whose_turns_cannot_be_told_apart_is_refused() -> None:
    # The number of messages, written at the start, changes with every turn.
    counted = "{{ messages | length }} " + CHATML
    later = (ASKED, SAID, {"role": "user", "content": "And 3?"}, {**SAID, "content": "7"})
    assert "exactly" in reason(counted, *later)


def test_a_conversation_needs_a_chat_template() -> None:
    for protocol in (STANDARD, TRAINING, make_protocol("training", chat=False)):
        tokenizer = tokenizer_for(CHATML)
        if protocol.chat is None:
            tokenizer.chat_template = None
        with pytest.raises(ModelError, match="chat template"):
            Encoder(tokenizer, protocol).encode(PAIR)


def test_text_and_ids_are_taken_as_they_are() -> None:
    text = PlainText("### Question: 2 + 2\n### Response: 4", start=34)
    assert texts(CHATML, text) == (text.text + "</s>", "4</s>")
    assert texts(CHATML, text, STANDARD) == (text.text, "4")
    assert (
        texts(CHATML, text, make_protocol("training", loss_on="all"))[1] == text.text[1:] + "</s>"
    )
    _, row = encode(CHATML, TokenIds((5, 6, 7, 8), (True, False, True, True)))
    assert (row.ids, list(row.positions)) == ([5, 6, 7, 8], [2, 3])
    assert encode(CHATML, TokenIds((5, 6), (True, False)))[1].reason == "no token carries loss"


def test_a_joined_pair_is_wrapped_where_a_pair_is_but_not_in_training() -> None:
    joined = Pair("2 + 2 =", " 4", joined=True)
    assert texts(CHATML, joined) == ("2 + 2 = 4</s>", " 4</s>")
    assert texts(CHATML, joined, make_protocol("standard", chat=False)) == ("2 + 2 = 4", " 4")
    assert texts(CHATML, joined, STANDARD) == texts(CHATML, replace(joined, joined=False), STANDARD)
    asked_for = make_protocol("training", chat=True)
    assert texts(CHATML, joined, asked_for)[1] == " 4<|im_end|>\n"


def test_a_cut_conversation_keeps_the_loss_that_is_left() -> None:
    later = (*PAIR.messages, {"role": "user", "content": "And 3?"}, {**SAID, "content": "7"})
    tokenizer = tokenizer_for(LLAMA_2)
    full = Encoder(tokenizer, TRAINING).encode(Conversation(later))
    turns = [position for position in full.positions if position < 30]
    cut = Encoder(tokenizer, make_protocol("training", max_length=30)).encode(Conversation(later))
    assert cut.truncated
    assert list(cut.positions) == turns
    none = Encoder(tokenizer, make_protocol("training", max_length=5)).encode(Conversation(later))
    assert none.reason is not None


@pytest.mark.parametrize("change", [{"loss_on": "all"}, {"end_of_turn": True}], ids=str)
def test_the_loss_of_other_turns_needs_conversations_rendered_whole(change: Any) -> None:
    with pytest.raises(StudyError, match=next(iter(change))):
        make_protocol("standard", **change)


def test_thinking_inside_a_text_reaches_a_template_that_reads_a_field() -> None:
    inside = {**SAID, "content": "<think>\n2 + 2 = 4\n</think>\n\n4"}
    field = texts(GPT_OSS, Conversation((ASKED, {**SAID, "thinking": "2 + 2 = 4"})))
    assert texts(GPT_OSS, Conversation((ASKED, inside))) == field
    channels = "<|channel|>analysis<|message|>2 + 2 = 4<|end|>"
    channels += "<|start|>assistant<|channel|>final<|message|>4"
    assert texts(GPT_OSS, Conversation((ASKED, {**SAID, "content": channels}))) == field
    assert texts(GPT_OSS, Pair(ASKED["content"], inside["content"])) == field


SPANS_OF_TURNS = {
    CHATML: {"think": "<think>\nAdd.\n</think>\n\n", "answer": "4<|im_end|>\n"},
    QWEN_3: {"think": "<think>\nAdd.\n</think>\n\n", "answer": "4<|im_end|>\n"},
    GPT_OSS: {
        "think": "<|channel|>analysis<|message|>Add.<|end|>"
        "<|start|>assistant<|channel|>final<|message|>",
        "answer": "4<|return|>",
    },
}


@pytest.mark.parametrize("template", SPANS_OF_TURNS, ids=["chatml", "qwen-3", "gpt-oss"])
def test_the_last_turn_is_divided_into_spans_with_its_end_in_the_last_one(template: str) -> None:
    inside = {**SAID, "content": "<think>\nAdd.\n</think>\n\n4"}
    earlier = ({"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."})
    tokenizer = tokenizer_for(template)
    encoder = Encoder(tokenizer, make_protocol("training", spans="think"))
    row = encoder.encode(Conversation((*earlier, ASKED, inside)))
    divided = {
        span.name: tokenizer.decode([row.ids[position] for position in span.positions])
        for span in row.spans
    }
    assert "Hello." in divided.pop("earlier_turns")
    assert divided == SPANS_OF_TURNS[template]
    assert sorted(at for span in row.spans for at in span.positions) == list(row.positions)


def test_spans_that_the_data_name_are_of_the_content() -> None:
    named = (TextSpan("sum", 0, 5), TextSpan("result", 8, 9))
    said = Conversation((ASKED, {**SAID, "content": "2 + 2 = 4"}), spans=named)
    for protocol in ("standard", "training"):
        tokenizer = tokenizer_for(CHATML)
        row = Encoder(tokenizer, make_protocol(protocol, spans="data")).encode(said)
        end = "<|im_end|>\n" if protocol == "training" else ""
        assert {
            span.name: tokenizer.decode([row.ids[position] for position in span.positions])
            for span in row.spans
        } == {"sum": "2 + 2", "rest": " =", "result": " 4" + end}


def test_a_protocol_adds_think_marks_of_its_own() -> None:
    marks = {"[[": "]]"}
    opened = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}" + (
        "{% if add_generation_prompt %}<|assistant|>[[{% endif %}"
    )
    inside = Pair("2+2?", "[[Add.]] 4")
    known = make_protocol(think_marks=marks, spans="think", system=None)
    tokenizer = tokenizer_for(opened)
    row = Encoder(tokenizer, known).encode(inside)
    assert tokenizer.decode(row.ids) == "<|user|>2+2?<|assistant|>[[Add.]] 4"
    assert [span.name for span in row.spans] == ["think", "answer"]
    plain = Encoder(tokenizer, known).encode(Pair("2+2?", "4"))
    assert tokenizer.decode(plain.ids) == "<|user|>2+2?<|assistant|>[[\n]]\n\n4"
    unknown = Encoder(tokenizer, make_protocol(system=None)).encode(inside)
    assert "[[[[" in tokenizer.decode(unknown.ids)
    assert known.key() != make_protocol(spans="think", system=None).key()
