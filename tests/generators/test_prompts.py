"""Templates: the packaged ones, a user's own, and what may stand in them."""

from pathlib import Path

import pytest

from gradpipe.errors import DataError
from gradpipe.generators.prompts import load_template
from gradpipe.generators.written_styles import MAX_TOKENS
from gradpipe.styles import THINKING_STYLES

ITEM = {
    "item_id": "1",
    "benchmark": "sums",
    "instruction": "What is {x} in \\boxed{2} and {answer}?",
    "answer": "{{4}}",
    "rationale": None,
}


def own(folder: Path, text: str, style: str = "detailed") -> str:
    (folder / f"{style}.txt").write_text(text, encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize("style", [style for style in MAX_TOKENS if style not in THINKING_STYLES])
def test_every_style_has_a_packaged_prompt(style: str) -> None:
    system, user = load_template(style).messages(ITEM)
    assert (system["role"], user["role"]) == ("system", "user")
    assert ITEM["instruction"] in user["content"]


@pytest.mark.parametrize("style", THINKING_STYLES)
def test_a_model_that_thinks_gets_the_question_alone(style: str) -> None:
    messages = load_template(style).messages({**ITEM, "answer": None})
    assert messages == [{"role": "user", "content": ITEM["instruction"]}]


@pytest.mark.parametrize("style", ["simplified", "detailed"])
def test_a_reasoning_prompt_gives_the_answer_and_asks_to_end_with_it(style: str) -> None:
    user = load_template(style).messages(ITEM)[-1]["content"]
    assert user.endswith("\nThe final answer is {{4}}")


@pytest.mark.parametrize("length", [100, 500, 1000])
def test_a_knowledge_prompt_says_its_length_and_needs_no_answer(length: int) -> None:
    user = load_template(f"length_{length}").messages({**ITEM, "answer": None})[-1]["content"]
    assert f"{length} tokens" in user


def test_the_styles_prompts_differ() -> None:
    hashes = {style: load_template(style).hash for style in MAX_TOKENS}
    assert hashes.pop("answer_only") == hashes["thinking"], "both are one call"
    assert len(set(hashes.values())) == len(hashes)


def test_braces_in_the_data_stay_as_they_are(tmp_path: Path) -> None:
    template = load_template("detailed", own(tmp_path, "[user]\n{instruction}|{answer}|{{}}"))
    [message] = template.messages(ITEM)
    assert message["content"] == f"{ITEM['instruction']}|{ITEM['answer']}|{{}}"


def test_a_users_prompt_takes_the_packaged_ones_place_style_by_style(tmp_path: Path) -> None:
    folder = own(tmp_path, "[user]\nMine: {instruction}")
    assert load_template("detailed", folder).hash != load_template("detailed").hash
    assert load_template("simplified", folder) == load_template("simplified")


def test_only_the_messages_make_the_hash(tmp_path: Path) -> None:
    text = "[system]\nBe brief.\n\n[user]\n{instruction}"
    plain = load_template("detailed", own(tmp_path, text)).hash
    remarked = f"\ufeff# version 2\r\n\r\n{text}\r\n".replace("\n\n", "\n\n\n")
    assert load_template("detailed", own(tmp_path, remarked)).hash == plain
    assert load_template("detailed", own(tmp_path, text + "!")).hash != plain
    assert load_template("detailed", own(tmp_path, text.replace("Be", "be"))).hash != plain


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[user]\n{question}", "{question}"),
        ("[user]\n{instruction.__class__}", "{instruction.__class__}"),
        ("[user]\n{instruction!r}", "unknown placeholder"),
        ("[user]\n{}", "unknown placeholder"),
        ("[user]\nset {x", "single brace"),
        ("[user]\nx}", "single brace"),
        ("{instruction}", "one line [user]"),
        ("[system]\nBe brief.", "no user message"),
        ("[user]\n", "no user message"),
        ("[user]\na\n[user]\nb", "one line [user]"),
        ("[assistant]\na\n[user]\nb", "one line [user]"),
    ],
)
def test_a_template_that_cannot_be_used_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError) as caught:
        load_template("detailed", own(tmp_path, text))
    assert words in str(caught.value)
    assert "detailed.txt" in str(caught.value)


def test_a_template_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "detailed.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        load_template("detailed", str(tmp_path))


def test_a_folder_without_templates_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no template"):
        load_template("detailed", str(tmp_path))


def test_a_style_without_a_prompt_is_named() -> None:
    with pytest.raises(DataError, match="'none'"):
        load_template("none")


@pytest.mark.parametrize("answer", [None, " "])
def test_a_text_that_the_item_lacks_is_named(answer: str | None) -> None:
    with pytest.raises(DataError, match="Item 1 of benchmark 'sums' has no answer"):
        load_template("detailed").messages({**ITEM, "answer": answer})
