"""Templates that lose a part of the conversation, read the clock, or open a think block."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import processors
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

from gradpipe.conversations.examples import Pair
from gradpipe.conversations.think_blocks import THINK_MARKS
from gradpipe.errors import StudyError
from gradpipe.gradients.encoder import Encoder
from gradpipe.gradients.protocol import PAPER, STANDARD, Protocol, make_protocol

MakeTokenizer = Callable[..., PreTrainedTokenizerFast]
SYSTEM = "You are a helpful assistant."
BOTH = pytest.mark.parametrize("protocol", [PAPER, STANDARD], ids=lambda protocol: protocol.preset)

TURNS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>\n{% endfor %}"
HEADER = "{% if add_generation_prompt %}<assistant>{% endif %}"
#: As a vision-language model's: contents are parts, some of which are images.
PARTS = (
    "{% for m in messages %}<{{ m.role }}>{% for part in m.content %}{% if part.type == 'image' %}"
    "<image>{% elif part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}<end>\n"
    "{% endfor %}" + HEADER
)
#: As Llama 3.2's: a date of the caller's, or else of the clock.
CLOCK = (
    "{% if not date_string is defined %}{% if strftime_now is defined %}"
    "{% set date_string = strftime_now('%d %b %Y') %}{% else %}{% set date_string = 'never' %}"
    "{% endif %}{% endif %}<date>{{ date_string }}<end>\n" + TURNS + HEADER
)
#: As Llama 3.1's: a date of the caller's, or else the template's own.
OWN_DATE = (
    "{% if not date_string is defined %}{% set date_string = '1 May 2025' %}{% endif %}"
    "<date>{{ date_string }}<end>\n" + TURNS + HEADER
)
#: As DeepSeek-R1-Distill's.
THINKS = TURNS + "{% if add_generation_prompt %}<assistant><think>\n{% endif %}"


def prompt(
    tokenizer: Any, protocol: Protocol, response: str = "4", instruction: str = "2+2?"
) -> str:
    """The text before the response, which the tokens of a row hold as well."""
    encoder = Encoder(tokenizer, protocol)
    row = encoder.encode(Pair(instruction, response))
    text = encoder.prompt(instruction, response)
    assert row.reason is None
    assert tokenizer.decode(row.ids[: row.start]) == text
    assert tokenizer.decode(row.ids[row.start :]) == response
    return text


def chat(*, header: str = "<assistant>", date: str = "") -> str:
    return f"{date}<system>{SYSTEM}<end>\n<user>2+2?<end>\n{header}"


@BOTH
def test_contents_are_parts_where_the_template_reads_parts(
    protocol: Protocol, make_tokenizer: MakeTokenizer
) -> None:
    assert prompt(make_tokenizer(template=PARTS), protocol) == chat()


def test_a_template_that_fails_on_text_gets_parts(make_tokenizer: MakeTokenizer) -> None:
    strict = "{% for m in messages %}{{ m.content[0].text + '' }}|{% endfor %}"
    assert prompt(make_tokenizer(template=strict), STANDARD) == f"{SYSTEM}|2+2?|"


def test_a_template_that_reads_parts_may_refuse_a_system_message(
    make_tokenizer: MakeTokenizer,
) -> None:
    refuses = "{% if messages[0].role == 'system' %}{{ raise_exception('No!') }}{% endif %}"
    tokenizer = make_tokenizer(template=refuses + PARTS)
    assert prompt(tokenizer, STANDARD) == "<user>2+2?<end>\n<assistant>"


def test_texts_stay_texts_where_the_template_shows_them(make_tokenizer: MakeTokenizer) -> None:
    either = TURNS.replace("m.content }}", "m.content if m.content is string else 'parts' }}")
    assert prompt(make_tokenizer(template=either + HEADER), STANDARD) == chat()


@BOTH
@pytest.mark.parametrize(
    "template",
    [
        "<user>{{ messages | length }}<assistant>",
        TURNS.replace("m.content", "m.content | upper") + HEADER,
        TURNS.replace("m.content", "m.content | replace('two', '2')") + HEADER,
    ],
)
def test_a_row_whose_instruction_is_not_in_the_prompt_is_unusable(
    template: str, protocol: Protocol, make_tokenizer: MakeTokenizer
) -> None:
    encoder = Encoder(make_tokenizer(template=template), protocol)
    row = encoder.encode(Pair("one and two", "three"))
    assert row.reason is not None
    assert "instruction" in row.reason
    assert row.response_tokens == 0


@BOTH
def test_a_template_may_strip_the_instruction(
    protocol: Protocol, make_tokenizer: MakeTokenizer
) -> None:
    tokenizer = make_tokenizer(template=TURNS.replace("m.content", "m.content | trim") + HEADER)
    assert prompt(tokenizer, protocol, instruction=" \n2+2?\t") == chat()
    # Only a row of this template that is changed further in is unusable.
    joined = TURNS.replace("m.content", "m.content.split() | join(' ')") + HEADER
    encoder = Encoder(make_tokenizer(template=joined), protocol)
    rows = encoder.encode_all([Pair("a b", "c"), Pair("a  b", "c")])
    assert [row.reason is None for row in rows] == [True, False]


@pytest.fixture
def in_the_year_3000(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> "Clock":
            return cls(3000, 1, 1, tzinfo=tz)

    monkeypatch.setattr(chat_template_utils, "datetime", Clock)


@BOTH
@pytest.mark.usefixtures("in_the_year_3000")
def test_a_template_reads_the_protocols_date_and_not_the_clock(
    protocol: Protocol, make_tokenizer: MakeTokenizer
) -> None:
    tokenizer = make_tokenizer(template=CLOCK)
    assert "3000" in tokenizer.apply_chat_template(
        [{"role": "user", "content": ""}], tokenize=False
    )
    assert prompt(tokenizer, protocol) == chat(date="<date>26 Jul 2024<end>\n")
    dated = make_protocol(protocol.preset, template_date="2031-05-04")
    assert prompt(tokenizer, dated) == chat(date="<date>04 May 2031<end>\n")


def test_every_format_of_a_date_is_known(make_tokenizer: MakeTokenizer) -> None:
    formats = "{{ strftime_now('%Y-%m-%d %A %j %H:%M %%') }}|"
    tokenizer = make_tokenizer(bos=True, template="{{ bos_token }}" + formats + TURNS + HEADER)
    assert prompt(tokenizer, STANDARD) == "<s>2024-07-26 Friday 208 00:00 %|" + chat()


def test_a_templates_own_date_stays_unless_another_one_is_set(
    make_tokenizer: MakeTokenizer,
) -> None:
    tokenizer = make_tokenizer(template=OWN_DATE)
    assert prompt(tokenizer, STANDARD) == chat(date="<date>1 May 2025<end>\n")
    dated = make_protocol(template_date="2031-05-04")
    assert prompt(tokenizer, dated) == chat(date="<date>04 May 2031<end>\n")


def test_a_header_that_the_generation_prompt_lacks_is_restored_except_under_paper(
    make_tokenizer: MakeTokenizer,
) -> None:
    for template in (TURNS, PARTS.removesuffix(HEADER)):
        tokenizer = make_tokenizer(template=template)
        assert prompt(tokenizer, STANDARD) == chat()
        assert prompt(tokenizer, PAPER) == chat(header="")


@pytest.mark.parametrize(
    "template",
    [
        # Llama 2 and Mistral: no header, at most a space before the response.
        "{% for m in messages %}{% if m.role == 'assistant' %} {{ m.content }}</s>{% else %}"
        "[INST]{{ m.content }}[/INST]{% endif %}{% endfor %}",
        # An assistant's turn that fails, is missing, or changes what is before it.
        "{% for m in messages %}{% if m.role == 'assistant' %}{{ raise_exception('No!') }}"
        "{% else %}[INST]{{ m.content }}[/INST]{% endif %}{% endfor %}",
        "{% for m in messages if m.role != 'assistant' %}[INST]{{ m.content }}[/INST]{% endfor %}",
        "{% for m in messages %}[INST]{{ m.content }}[/INST]{% endfor %}"
        "{% if messages[-1].role == 'user' %}{{ '' }}.{% endif %}",
    ],
)
def test_a_template_without_a_header_stays_as_it_is(
    template: str, make_tokenizer: MakeTokenizer
) -> None:
    tokenizer = make_tokenizer(template=template)
    assert prompt(tokenizer, STANDARD) == prompt(tokenizer, PAPER)


OWN_THOUGHT = "<think>\nTwo twos.\n</think>\n\n4"
CONTINUED = "Two twos.\n</think>\n\n4"
OPENED = "<assistant><think>\n"
CLOSED = "<assistant><think>\n\n</think>\n\n"


@pytest.mark.parametrize(
    ("preset", "thinking", "response", "header"),
    [
        ("standard", None, "4", CLOSED),
        ("standard", None, OWN_THOUGHT, "<assistant>"),
        ("standard", None, CONTINUED, OPENED),
        ("standard", "auto", "4", CLOSED),
        ("standard", "inside", "4", OPENED),
        ("standard", "inside", OWN_THOUGHT, OPENED),
        ("standard", "closed", CONTINUED, CLOSED),
        ("paper", None, "4", OPENED),
        ("paper", None, OWN_THOUGHT, OPENED),
        ("paper", "auto", "4", CLOSED),
        ("paper", "closed", "4", CLOSED),
    ],
)
def test_a_response_is_measured_inside_the_think_block_or_behind_it(
    preset: str, thinking: str | None, response: str, header: str, make_tokenizer: MakeTokenizer
) -> None:
    tokenizer = make_tokenizer(template=THINKS)
    protocol = make_protocol(preset, thinking=thinking)
    assert prompt(tokenizer, protocol, response) == chat(header=header)


@pytest.mark.parametrize(("opening", "closing"), THINK_MARKS.items())
def test_every_kind_of_think_block_is_closed(
    opening: str, closing: str, make_tokenizer: MakeTokenizer
) -> None:
    template = TURNS + "{% if add_generation_prompt %}" + opening + "{% endif %}"
    tokenizer = make_tokenizer(template=template)
    assert prompt(tokenizer, STANDARD) == chat(header=f"{opening}\n{closing}\n\n")


@pytest.mark.parametrize(
    "template",
    [
        # Qwen3 without thinking closes the block itself.
        TURNS + "{% if add_generation_prompt %}<assistant><think>\n\n</think>\n\n{% endif %}",
        # The block is the instruction's own.
        "{% for m in messages %}{{ m.content }}{% endfor %}",
    ],
)
def test_a_block_that_the_generation_prompt_does_not_open_stays(
    template: str, make_tokenizer: MakeTokenizer
) -> None:
    tokenizer = make_tokenizer(template=template)
    texts = [
        prompt(tokenizer, protocol, instruction="Close <think>") for protocol in (STANDARD, PAPER)
    ]
    assert texts[0] == texts[1]


def test_a_block_that_only_some_prompts_open_is_closed_only_there(
    make_tokenizer: MakeTokenizer,
) -> None:
    opened = "{% if '/no_think' not in messages[-1].content %}<think>{% endif %}"
    tokenizer = make_tokenizer(template=TURNS + HEADER + opened)
    assert prompt(tokenizer, STANDARD).endswith("<think>\n</think>\n\n")
    assert prompt(tokenizer, STANDARD, instruction="2+2? /no_think").endswith("<assistant>")


@pytest.fixture
def appends_eos(make_tokenizer: MakeTokenizer) -> PreTrainedTokenizerFast:
    """Puts <s> before each text and </s> behind it."""
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"eos_token": "</s>"})
    ends = [(name, tokenizer.convert_tokens_to_ids(name)) for name in ("<s>", "</s>")]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=ends
    )
    return tokenizer


def test_an_eos_that_the_tokenizer_appends_carries_no_loss_except_under_paper(
    appends_eos: PreTrainedTokenizerFast, template: str
) -> None:
    row = Encoder(appends_eos, STANDARD).encode(Pair("2+2?", "4</s>"))
    assert appends_eos.decode(row.ids) == "<s>2+2?\n4</s>"
    assert row.response_tokens == 2
    paper = Encoder(appends_eos, PAPER).encode(Pair("2+2?", "4"))
    assert appends_eos.decode(paper.ids) == "<s>2+2?\n4</s>"
    appends_eos.chat_template = template
    always = make_protocol(special_tokens="always", system=None)
    row = Encoder(appends_eos, always).encode(Pair("2+2?", "4"))
    assert appends_eos.decode(row.ids) == "<s><s>[user]2+2?\n[assistant]4"


@pytest.mark.parametrize("response", ["ü!", "ü!</s>", "</s>"])
def test_an_appended_eos_is_dropped_without_offsets_too(response: str) -> None:
    tokenizer = ByT5Tokenizer(extra_ids=0)
    row = Encoder(tokenizer, STANDARD).encode(Pair("é", response))
    assert row.ids == tokenizer(f"é\n{response}", add_special_tokens=False)["input_ids"]
    assert row.ids[row.start :] == tokenizer(response, add_special_tokens=False)["input_ids"]


def test_keys_change_with_thinking_and_date_only_where_numbers_may() -> None:
    for preset in (PAPER, STANDARD):
        for changes in ({"thinking": None}, {"template_date": "2024-07-26"}):
            assert make_protocol(preset.preset, **changes).key() == preset.key()
        dated = make_protocol(preset.preset, template_date="2031-05-04")
        assert dated.key() == {**preset.key(), "template_date": "2031-05-04"}
        assert make_protocol(preset.preset, **dated.key()) == dated
    assert make_protocol(thinking="auto").key() == STANDARD.key()
    assert make_protocol("paper", thinking="inside").key() == PAPER.key()
    assert make_protocol("paper", thinking="auto").key() == {**PAPER.key(), "thinking": "auto"}
    inside = make_protocol(thinking="inside")
    assert inside.key() == {**STANDARD.key(), "thinking": "inside"}
    assert make_protocol("paper", **inside.key()).thinking_mode == "inside"


@pytest.mark.parametrize(
    "value", ["today", "20240726", "2024-13-45", "2024-07-26T00:00", 86400, True, None]
)
def test_a_date_is_written_as_one(value: Any) -> None:
    with pytest.raises(StudyError, match="'template_date' cannot be "):
        make_protocol(template_date=value)


def test_the_protocols_template_replaces_the_tokenizers_and_gets_its_settings(
    make_tokenizer: MakeTokenizer,
) -> None:
    own = "{{ mark }}" + TURNS + HEADER
    settings = {"chat_template": own, "chat_template_kwargs": {"mark": "!"}}
    protocol = make_protocol("standard", **settings)
    assert prompt(make_tokenizer(template=THINKS), protocol) == "!" + chat()
    dated = make_protocol(chat_template=CLOCK, chat_template_kwargs={"date_string": "today"})
    assert prompt(make_tokenizer(template=THINKS), dated) == chat(date="<date>today<end>\n")
