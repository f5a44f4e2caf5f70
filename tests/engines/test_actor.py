"""What an actor does with its model and its rows, in this process."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.engines.actor import Extractor, ModelOrder, picklable_error
from gradpipe.engines.local import extract_here
from gradpipe.errors import DataError, GradpipeError, ModelError, WorkspaceError
from tests.engines.conftest import EMPTY, MakeWork, examples


@pytest.fixture
def make_actor(make_work: MakeWork) -> Any:
    work, _ = make_work()

    def make(**changes: Any) -> Extractor:
        order = {
            "source": work.source,
            "name": "small",
            "fingerprint": work.fingerprint,
            "dtype": "float32",
            "placement": work.placement,
        }
        return Extractor(ModelOrder(**(order | changes)))

    return make


def test_it_says_which_rows_are_in_the_store_batch_by_batch(
    make_actor: Any, make_work: MakeWork
) -> None:
    work, store = make_work()
    actor = make_actor()
    assert not isinstance(actor.load(), GradpipeError)
    seen: list[str] = []
    for keys in actor.extract(work.examples, work.protocol, work.append):
        seen.extend(keys)
        assert store.missing(seen) == []
    assert sorted(seen) == sorted(work.examples["key"])
    assert len(store.parts()) > 3
    unusable = store.scan().filter(pl.col("reason").is_not_null()).collect()
    assert unusable["key"].to_list() == [EMPTY]


def test_its_rows_are_those_of_the_local_engine(make_actor: Any, make_work: MakeWork) -> None:
    work, store = make_work(examples=examples(6))
    actor = make_actor()
    actor.load()
    list(actor.extract(work.examples, work.protocol, work.append))
    loaded = actor._loaded
    kept: list[pl.DataFrame] = []
    here, _ = make_work(examples=examples(6), append=kept.append)
    extract_here(loaded, here)
    both = pl.concat(kept).select(list(store.schema)), store.scan().collect()
    left, right = (frame.sort("key").drop("seconds") for frame in both)
    assert left.equals(right)


def test_a_model_that_is_another_one_on_its_machine_is_refused(make_actor: Any) -> None:
    answer = make_actor(fingerprint="that of another").load()
    assert isinstance(answer, ModelError)
    assert "put the same ones at" in str(answer)


def test_what_goes_wrong_is_answered_and_not_raised(
    make_actor: Any, make_work: MakeWork, small_model: Path
) -> None:
    work, _ = make_work()
    actor = make_actor()
    actor.load()

    def full(_: pl.DataFrame) -> None:
        raise WorkspaceError("The disk is full: delete something.")

    (answer,) = actor.extract(work.examples, work.protocol, full)
    assert isinstance(answer, WorkspaceError)
    assert str(answer) == "The disk is full: delete something."
    (answer,) = actor.extract(work.examples.drop("response"), work.protocol, work.append)
    assert "failed with ColumnNotFoundError" in str(answer)


def test_an_error_in_words_keeps_its_kind_its_text_and_whether_it_may_pass() -> None:
    error = picklable_error(DataError("It is empty: fill it.", transient=True))
    assert (type(error), str(error), error.transient) == (DataError, "It is empty: fill it.", True)
    error = picklable_error(ZeroDivisionError("division\nby zero"))
    assert str(error).endswith("failed with ZeroDivisionError: division by zero")
    assert not error.transient
    assert picklable_error(ConnectionError("no answer")).transient
