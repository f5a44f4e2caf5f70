"""The public API: every name is there, typed, documented, and its examples run."""

import doctest
import inspect
from pathlib import Path

import polars as pl
import pytest

import gradpipe


def test_every_public_name_is_listed_once() -> None:
    assert sorted(gradpipe.PUBLIC) == sorted(gradpipe.__all__)
    assert set(gradpipe.PUBLIC) <= set(dir(gradpipe))


@pytest.mark.parametrize("name", gradpipe.PUBLIC)
def test_a_public_name_is_documented_and_typed(name: str) -> None:
    public = getattr(gradpipe, name)
    assert public.__name__ == name
    assert public.__module__ == gradpipe.PUBLIC[name]
    assert inspect.getdoc(public)
    if inspect.isfunction(public):
        assert "return" in public.__annotations__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        gradpipe.no_such_name  # noqa: B018


@pytest.fixture(scope="module")
def names(small_model: Path) -> dict[str, object]:
    """What the examples of docstrings take for granted."""
    loaded = gradpipe.load_model(str(small_model))
    return {
        "gp": gradpipe,
        "pl": pl,
        "model": loaded.model,
        "tokenizer": loaded.tokenizer,
        "model_folder": str(small_model),
    }


@pytest.mark.parametrize("name", gradpipe.PUBLIC)
def test_the_examples_of_a_docstring_run(name: str, names: dict[str, object]) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    examples = doctest.DocTestFinder(recurse=False).find(getattr(gradpipe, name), name, globs=names)
    for example in examples:
        runner.run(example)
    assert runner.tries > 0
    assert runner.failures == 0
