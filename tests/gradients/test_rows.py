"""A row's key changes with what its gradient depends on, and with nothing else."""

import polars as pl
import pytest

from gradpipe.gradients import rows as rows_module
from gradpipe.gradients.protocol import PAPER, STANDARD, Protocol, make_protocol
from gradpipe.gradients.rows import with_keys

EXAMPLES = pl.DataFrame({"example_id": ["a", "b", "a"], "benchmark": ["x", "y", "z"]})


def keys(protocol: Protocol = PAPER, fingerprint: str = "f") -> list[str]:
    return with_keys(EXAMPLES, protocol, fingerprint)["key"].to_list()


def test_equal_pairs_share_a_key_wherever_they_occur() -> None:
    first, other, again = keys()
    assert first == again
    assert first != other


def test_the_key_changes_with_protocol_and_model() -> None:
    columns = [
        keys(),
        keys(STANDARD),
        keys(fingerprint="g"),
        keys(make_protocol("paper", chat=False)),
    ]
    assert len({key for column in columns for key in column}) == 2 * len(columns)


def test_the_key_changes_with_the_extractor(monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys()
    monkeypatch.setattr(rows_module, "EXTRACTOR_VERSION", "next")
    assert not set(before) & set(keys())


def test_the_key_ignores_what_the_preset_is_called() -> None:
    assert keys(make_protocol("standard", **PAPER.key())) == keys()


def test_no_examples_have_no_keys() -> None:
    assert with_keys(EXAMPLES.clear(), PAPER, "f").schema["key"] == pl.String


def test_a_model_that_loses_its_system_message_by_name_has_keys_of_its_own() -> None:
    paper = make_protocol("paper")
    assert paper.for_model("google/gemma-2-2b-it").key() != paper.for_model("demo").key()
    assert STANDARD.for_model("google/gemma-2-2b-it").key() == STANDARD.key()
