"""What a data file holds for a model: its format, its rows as the model reads them, its faults."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.errors import DataError
from gradpipe.gradients.encoder import Encoder
from gradpipe.gradients.protocol import make_protocol
from gradpipe.standalone.look import DataView, look_at
from tests.gradients.chat_template_samples import tokenizer_for

CHAT = {
    "id": 7,
    "messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": "<think>\nAdd.\n</think>\n\n4"},
    ],
}
ENDS_WITH_USER = {"id": 8, "messages": CHAT["messages"][:3]}  # type: ignore[index]
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture
def look(tmp_path: Path, small_model: Path) -> Callable[..., DataView]:
    def look(*rows: dict[str, Any], preset: str = "training", **changes: Any) -> DataView:
        file = tmp_path / "data.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        view = {name: changes.pop(name) for name in ("offset", "limit", "shown") if name in changes}
        protocol = make_protocol(preset, chat_template=TEMPLATE, **changes)
        return look_at(str(file), str(small_model), protocol, **view)

    return look


def test_the_text_with_loss_is_marked_and_nothing_is_lost(look: Callable[..., DataView]) -> None:
    view = look(CHAT)
    [example] = view.examples
    assert "".join(piece.text for piece in example.pieces) == (
        "<user>Hi<end>\n<assistant>Hello!<end>\n<user>2+2?<end>\n"
        "<assistant><think>\nAdd.\n</think>\n\n4<end>\n"
    )
    assert [piece.text for piece in example.pieces if piece.loss] == [
        "Hello!<end>\n",
        "<think>\nAdd.\n</think>\n\n4<end>\n",
    ]


def test_pieces_are_divided_into_spans_where_asked_for(look: Callable[..., DataView]) -> None:
    [example] = look(CHAT, spans="think").examples
    assert [(piece.span, piece.text) for piece in example.pieces if piece.loss] == [
        ("earlier_turns", "Hello!<end>\n"),
        ("think", "<think>\nAdd.\n</think>\n\n"),
        ("answer", "4<end>\n"),
    ]


def test_columns_lengths_and_unusable_rows_are_counted(look: Callable[..., DataView]) -> None:
    view = look(ENDS_WITH_USER, CHAT, ENDS_WITH_USER, shown=0)
    assert view.columns["column", "role"].rows() == [("id", None), ("messages", "messages")]
    assert view.rows == 3
    assert view.unusable["rows", "first"].rows() == [(2, 0)]
    assert "user" in view.unusable["reason"][0]
    whole = len("<user>Hi<end>\n<assistant>Hello!<end>\n<user>2+2?<end>\n<assistant>")
    spoken = len("Hello!<end>\n"), len("<think>\nAdd.\n</think>\n\n4<end>\n")
    tokens, loss = whole + spoken[1], sum(spoken)
    expected = [(name, n, n, n, n) for name, n in (("tokens", tokens), ("response_tokens", loss))]
    assert view.lengths.rows() == expected
    assert view.examples == []


def test_rows_are_numbered_as_in_the_file(look: Callable[..., DataView]) -> None:
    view = look(CHAT, ENDS_WITH_USER, CHAT, CHAT, offset=1, limit=2)
    assert view.rows == 2
    assert [example.row for example in view.examples] == [2]
    assert view.unusable["first"].to_list() == [1]
    with pytest.raises(DataError, match="offset of 4"):
        look(*[CHAT] * 4, offset=4)


def test_rows_beyond_the_window_are_counted_and_not_refused(look: Callable[..., DataView]) -> None:
    view = look(CHAT, max_length=60)
    assert (view.window, view.truncated) == (60, 1)
    assert view.examples[0].truncated


def test_what_is_done_beyond_the_template_is_said(look: Callable[..., DataView]) -> None:
    assert look(CHAT).notes == []
    opened = TEMPLATE.replace("<assistant>{% endif", "<assistant><think>\n{% endif")
    clock = "{{ strftime_now('%Y') }}" + TEMPLATE.partition("{% if")[0]

    def notes(template: str, **changes: Any) -> str:
        return "\n".join(Encoder(tokenizer_for(template), make_protocol(**changes)).notes)

    assert "thinking: auto" in notes(opened)
    assert "thinking: inside" in notes(opened, thinking="inside")
    assert "template_date" in notes(clock)
    assert "add_generation_prompt" in notes(clock)


def test_a_view_needs_no_weights(
    look: Callable[..., DataView], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "transformers.AutoModelForCausalLM.from_pretrained", lambda *_, **__: pytest.fail("loaded")
    )
    assert isinstance(look(CHAT).lengths, pl.DataFrame)
