"""The rows of a model get new keys exactly where its earlier prompts were wrong."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tokenizers import Tokenizer, models, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from gradpipe.gradients import row_identity as module
from gradpipe.gradients.protocol import PAPER, STANDARD, Protocol, make_protocol
from gradpipe.gradients.row_identity import MARK, prompts_changed, row_identity
from gradpipe.gradients.rows import with_keys
from gradpipe.models.source import ModelSource

TURNS = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
HEADER = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
PARTS = (
    "{% for m in messages %}<{{ m.role }}>{% for part in m.content %}{% if part.type == 'text' %}"
    "{{ part.text }}{% endif %}{% endfor %}{% endfor %}" + HEADER
)
REFUSES_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('No!') }}{% endif %}"
OPENS = TURNS + "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
#: Template → whether earlier prompts differ under ``standard``, and under ``paper``.
TEMPLATES = {
    "ChatML": (TURNS + HEADER, False, False),
    "contents as text or as parts": (
        TURNS.replace("m.content }}", "m.content if m.content is string else 'parts' }}") + HEADER,
        False,
        False,
    ),
    "no system message": (REFUSES_SYSTEM + TURNS + HEADER, False, False),
    "a BOS token": ("{{ bos_token }}" + TURNS + HEADER, False, False),
    "a date of its own": (
        "{% set day = date_string or '26 Jul 2024' %}{{ day }}" + TURNS + HEADER,
        False,
        False,
    ),
    "a think block that it closes": (
        TURNS + "{% if add_generation_prompt %}<think>\n\n</think>\n\n{% endif %}",
        False,
        False,
    ),
    "Llama 2, whose turns have no header": (
        "{% for m in messages %}{% if m.role == 'assistant' %} {{ m.content }}</s>{% else %}"
        "[INST]{{ m.content }}[/INST]{% endif %}{% endfor %}",
        False,
        False,
    ),
    "a clock that it does not write": (
        "{% set year = strftime_now('%Y') %}" + TURNS + HEADER,
        False,
        False,
    ),
    "a clock's percent sign": ("{{ strftime_now('%%') }}" + TURNS + HEADER, False, False),
    "parts only": (PARTS, True, True),
    "a date from the clock": ("{{ strftime_now('%d %b %Y') }}" + TURNS + HEADER, True, True),
    "a weekday from the clock": ("{{ strftime_now('%a') }}" + TURNS + HEADER, True, True),
    "no header": (TURNS, True, False),
    "an opened think block": (OPENS, True, False),
    "an instruction that is changed": (
        TURNS.replace("m.content", "m.content | upper") + HEADER,
        True,
        True,
    ),
    "a template that fails": ("{{ raise_exception('No!') }}", False, False),
    # It failed before, too: no row was measured with it.
    "parts, or an error": (
        "{% for m in messages %}{{ m.content[0].text + '' }}|{% endfor %}",
        False,
        False,
    ),
    "no template at all": ("{% if %}", False, False),
}


@pytest.mark.parametrize(("template", "standard", "paper"), TEMPLATES.values(), ids=TEMPLATES)
def test_a_template_is_changed_where_its_earlier_prompt_was_another(
    template: str, standard: bool, paper: bool
) -> None:
    assert prompts_changed(template, STANDARD) == standard
    assert prompts_changed(template, PAPER) == paper


def folder_of(place: Path, template: str | None, post_processor: Any = None) -> ModelSource:
    """A folder with the files of a byte-level tokenizer that are read without loading it."""
    words = {chr(number): number for number in range(32, 127)} | {"<s>": 127, "</s>": 128}
    tokenizer = Tokenizer(models.BPE(words, []))
    tokenizer.add_special_tokens(["<s>", "</s>"])
    if post_processor is not None:
        tokenizer.post_processor = post_processor
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", chat_template=template
    ).save_pretrained(place)
    return ModelSource("folder", str(place))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("changes", "marked"),
    [
        ({}, True),
        ({"dtype": "bfloat16", "projections": ["q"], "max_length": 9}, True),
        ({"thinking": "auto", "template_date": "2024-07-26"}, True),
        ({"chat": False}, False),
        # No earlier version wrote keys with these settings.
        ({"thinking": "closed"}, False),
        ({"template_date": "2025-01-31"}, False),
        # As ``paper``, which leaves the block open.
        ({"boundary": "prefix"}, False),
    ],
)
def test_only_protocols_whose_prompts_changed_mark_a_model(
    changes: dict[str, Any], marked: bool, tmp_path: Path
) -> None:
    source = folder_of(tmp_path / "model", OPENS)
    identity = row_identity(source, "print", make_protocol("standard", **changes))
    assert identity == (f"print-{MARK}" if marked else "print")


PROCESSORS = {
    "nothing": (None, False),
    "a BOS": (processors.TemplateProcessing("<s> $A", None, [("<s>", 127)]), False),
    "an EOS": (processors.TemplateProcessing("$A </s>", None, [("</s>", 128)]), True),
    "an EOS in a sequence": (
        processors.Sequence(
            [
                processors.ByteLevel(),
                processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 127), ("</s>", 128)]),
            ]
        ),
        True,
    ),
    "BERT's separator": (processors.BertProcessing(("</s>", 128), ("<s>", 127)), True),
}


@pytest.mark.parametrize(("processor", "appends"), PROCESSORS.values(), ids=PROCESSORS)
@pytest.mark.parametrize(
    ("protocol", "template", "special"),
    [
        (STANDARD, None, True),
        (STANDARD, TURNS + HEADER, False),
        (make_protocol(chat=False), TURNS + HEADER, True),
        (make_protocol(special_tokens="always"), TURNS + HEADER, True),
        (PAPER, None, False),
        (PAPER, TURNS + HEADER, False),
    ],
)
def test_an_appended_token_marks_a_model_where_it_is_dropped_now(
    processor: Any,
    appends: bool,
    protocol: Protocol,
    template: str | None,
    special: bool,
    tmp_path: Path,
) -> None:
    source = folder_of(tmp_path / "model", template, processor)
    marked = row_identity(source, "print", protocol) != "print"
    assert marked == (appends and special)
    # Loaded, the tokenizer does what its files say.
    text = AutoTokenizer.from_pretrained(source.id)("x")["input_ids"]
    assert (text[-1] == 128) == appends


def test_a_model_is_judged_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = folder_of(tmp_path / "model", OPENS)
    identities = [row_identity(source, "print", protocol) for protocol in (STANDARD, PAPER)]
    assert identities == [f"print-{MARK}", "print"]
    monkeypatch.setattr(module, "template_text", lambda _: pytest.fail("it was read again"))
    assert identities == [row_identity(source, "print", each) for each in (STANDARD, PAPER)]
    with pytest.raises(pytest.fail.Exception):
        row_identity(source, "another", STANDARD)


def test_the_keys_of_other_models_are_those_of_earlier_versions(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "model", TURNS + HEADER)
    examples = pl.DataFrame({"example_id": ["an example"]})
    keys = [
        with_keys(examples, protocol, row_identity(source, "619e02713c727cf93f2a", protocol))
        for protocol in (STANDARD, PAPER)
    ]
    # As commit 8d0d775 wrote them.
    assert [frame["key"].item() for frame in keys] == [
        "b29de3fc79fd5b252b75",
        "6eb62ef1151cc00c3db2",
    ]


def test_a_folder_without_a_tokenizer_is_not_marked(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps([1]))
    assert row_identity(ModelSource("folder", str(tmp_path)), "print", STANDARD) == "print"
