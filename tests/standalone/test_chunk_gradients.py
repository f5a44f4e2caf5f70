"""Rows that an engine computes elsewhere: the same as those computed here."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradpipe.cli.work_folder import WorkFolder
from gradpipe.conversations.context import exact_context, example_of
from gradpipe.conversations.examples import (
    Conversation,
    Example,
    Pair,
    PlainText,
    TextSpan,
    TokenIds,
    Unusable,
)
from gradpipe.engines.work import Work
from gradpipe.errors import ModelError
from gradpipe.gradients.examples import extract_examples
from gradpipe.gradients.protocol import STANDARD
from gradpipe.models.load import load_source
from gradpipe.standalone.chunk_gradients import EngineGradients
from gradpipe.standalone.data_stream import open_data
from gradpipe.standalone.example_chunks import ExampleChunks
from gradpipe.standalone.example_runner import ExampleRunner
from gradpipe.standalone.extra_scores import Extras
from gradpipe.standalone.extraction_run import ExtractionRun
from gradpipe.standalone.rank_examples import RankOrder
from gradpipe.standalone.ranking_run import RankingRun
from gradpipe.standalone.user_examples import to_examples

CHAT = [
    {"role": "user", "content": "Say 3."},
    {"role": "assistant", "content": "Three."},
]
ROWS: list[dict[str, Any]] = [
    {"messages": [{**CHAT[0], "content": f"Say {n}."}, {**CHAT[1], "content": "Well. " * n}]}
    for n in range(5)
]


class OtherProcess:
    """An engine that computes in this process what it is sent as bytes."""

    def __init__(self) -> None:
        self.rows = 0

    def extract(self, work: Work) -> None:
        """Compute and store every row."""
        append, missing = pickle.loads(pickle.dumps((work.append, work.missing)))
        order = pickle.loads(pickle.dumps((work.source, work.placement)))
        assert order == (work.source, work.placement)
        loaded = load_source(work.source, work.name, work.protocol.dtype, work.placement)
        assert missing(work.examples["key"]) == work.examples["key"].to_list()
        for rows in extract_examples(loaded, work.examples, work.protocol, work.report):
            append(rows)
        self.rows += work.examples.height


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def chat_folder(
    tiny_folder: Path,
    make_tokenizer: Callable[..., Any],
    tmp_path: Path,
) -> Path:
    """A small model with a chat template."""
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "chat"))
    template = "{% for one in messages %}[{{ one.role }}]{{ one.content }}\n{% endfor %}"
    template += "{% if add_generation_prompt %}[assistant]{% endif %}"
    make_tokenizer(template=template).save_pretrained(folder)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*ROWS, {"messages": None}]))
    return path


def chunks(data: Path) -> ExampleChunks:
    return ExampleChunks(stream=open_data(str(data)), rows=4)


def test_a_table_of_an_engine_is_that_of_this_process(
    data: Path, chat_folder: Path, tmp_path: Path
) -> None:
    runner, engine = ExampleRunner(str(chat_folder), STANDARD), OtherProcess()
    one, other = tmp_path / "one.parquet", tmp_path / "other.parquet"
    expected = ExtractionRun(chunks(data), runner, one).run()
    kept, gradients = WorkFolder(tmp_path / "work"), EngineGradients(runner, engine)
    found = ExtractionRun(chunks(data), runner, other, kept=kept, gradients=gradients).run()
    assert found == expected
    assert [row for row, _ in found[0]] == [0, 5]
    assert engine.rows == 6
    assert_frame_equal(pl.read_parquet(other), pl.read_parquet(one), rel_tol=1e-4)


def test_a_ranking_of_an_engine_is_that_of_this_process(
    data: Path, chat_folder: Path, tmp_path: Path
) -> None:
    runner = ExampleRunner(str(chat_folder), STANDARD)
    target = to_examples([{"messages": CHAT}])
    extras = Extras(names=["loss"], target=target, diverse=True)
    order = RankOrder(by="nuclear_norm", extras=extras)
    kept, gradients = WorkFolder(tmp_path / "work"), EngineGradients(runner, OtherProcess())
    found = RankingRun(chunks(data), runner, order, kept=kept, gradients=gradients).run()
    expected = RankingRun(chunks(data), runner, order).run()
    assert_frame_equal(found, expected, rel_tol=1e-4, abs_tol=1e-3)


@pytest.mark.parametrize(
    "example",
    [
        Pair(None, "b"),
        Pair("a\ud800", "b", joined=True, spans=(TextSpan("s", 0, 1),)),
        PlainText("abc", 1),
        TokenIds((1, 2), (False, True)),
        Unusable("why"),
        Conversation(
            messages=({"role": "user", "content": [{"type": "text", "text": "a"}]}, CHAT[1]),
            prompt_messages=1,
            tools=({"name": "t"},),
            template_settings={"a": 1},
            spans=(TextSpan("s", 0, 1),),
        ),
    ],
    ids=lambda example: type(example).__name__,
)
def test_every_kind_of_example_can_be_sent(example: Example) -> None:
    assert example_of(None, None, exact_context(example)) == example


def test_a_model_that_is_missing_is_reported_before_the_engine(data: Path, tmp_path: Path) -> None:
    runner = ExampleRunner(str(tmp_path / "none"), STANDARD)
    gradients = EngineGradients(runner, OtherProcess())
    with pytest.raises(ModelError, match="none"):
        ExtractionRun(chunks(data), runner, tmp_path / "out.parquet", gradients=gradients).run()
