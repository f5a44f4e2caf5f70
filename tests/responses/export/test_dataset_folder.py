"""The folder of a data set: read back as it was written, replaced as a whole or not at all."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gradpipe.errors import DataError
from gradpipe.responses.export import dataset_folder
from gradpipe.responses.export.dataset_card import MOST_CARD_ROWS, dataset_card
from gradpipe.responses.export.dataset_folder import CARD_FILE, DATASET_FILE, write_dataset
from gradpipe.responses.export.message_rows import message_schema
from tests.responses.written_calls import CREATED

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


def rows_of(*texts: str, with_thinking: bool = False, **changes: Any) -> pl.DataFrame:
    """Rows of a data set, each with a text in every column of texts."""
    schema = message_schema(with_thinking)
    rows = []
    for text in texts:
        row = {name: text if dtype == pl.String else 1 for name, dtype in schema.items()}
        fields = [field.name for field in schema["messages"].inner.fields]  # type: ignore[attr-defined]
        messages = [{**dict.fromkeys(fields, text), "role": role} for role in ("user", "assistant")]
        given = {"messages": messages, "created": CREATED, "request_messages": "[]"}
        rows.append({**row, **given, **changes})
    return pl.DataFrame(rows, schema=schema)


@settings(max_examples=25)
@given(texts=st.lists(TEXTS, min_size=1, max_size=5), with_thinking=st.booleans())
def test_rows_are_read_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], with_thinking: bool
) -> None:
    folder = tmp_path_factory.mktemp("export") / "out"
    rows = rows_of(*texts, with_thinking=with_thinking)
    write_dataset(rows, folder, "mine", accepted=True)
    assert pl.read_parquet(folder / DATASET_FILE).equals(rows)
    assert sorted(path.name for path in folder.iterdir()) == sorted([DATASET_FILE, CARD_FILE])
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


@settings(max_examples=25)
@given(text=TEXTS, study=TEXTS)
def test_no_text_breaks_the_card(text: str, study: str) -> None:
    card = dataset_card(rows_of(text, text), study, (10, 20), accepted=False)
    _, front, body = card.split("---\n", 2)
    metadata = yaml.safe_load(front)
    assert metadata["dataset_info"]["splits"][0]["num_examples"] == 2
    [header, rule, row] = [line for line in body.split("\n") if line.startswith("| ")][:3]
    assert header.count(" | ") == rule.count(" | ") == row.replace("\\|", "").count(" | ")
    assert row.endswith("| 2 |")


def test_a_card_lists_every_column() -> None:
    rows = rows_of("text", with_thinking=True)
    card = dataset_card(rows, "mine", (10, 20), accepted=True)
    features = yaml.safe_load(card.split("---\n")[1])["dataset_info"]["features"]
    assert [feature["name"] for feature in features] == rows.columns
    assert [field["name"] for field in features[0]["list"]] == [
        "role",
        "content",
        "reasoning_content",
    ]


def test_a_card_stays_short_if_a_server_names_another_configuration_each_time() -> None:
    rows = rows_of(*map(str, range(3 * MOST_CARD_ROWS)))
    card = dataset_card(rows, "mine", (10, 20), accepted=True)
    assert f"{2 * MOST_CARD_ROWS} more rows" in card
    assert sum(line.startswith("| ") for line in card.split("\n")) == 2 * (MOST_CARD_ROWS + 2)


def test_a_write_that_fails_leaves_the_earlier_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    write_dataset(rows_of("old"), folder, "mine", accepted=True)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dataset_folder, "put_folder_in_place", full)
    with pytest.raises(DataError, match="No space left"):
        write_dataset(rows_of("new"), folder, "mine", accepted=True, overwrite=True)
    assert pl.read_parquet(folder / DATASET_FILE).equals(rows_of("old"))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_dataset(rows_of("new"), tmp_path / "out", "mine", accepted=True)
    assert (tmp_path / "out" / CARD_FILE).is_file()
