"""The public API: every name is there, typed, documented, and its examples run."""

import doctest
import inspect
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import gradpipe
from gradpipe.system.extras import CHARTS
from tests.conftest import ROOT, FirstRun

#: Every public function and class by the name that a docstring's example calls it by.
PUBLIC = {name: getattr(gradpipe, name) for name in gradpipe.PUBLIC} | {
    f"charts.{name}": getattr(gradpipe.charts, name) for name in gradpipe.charts.__all__
}
PUBLIC["Workspace"] = gradpipe.Workspace
#: Where the others are defined, and the name of the class there.
CLASSES = {"Workspace": ("gradpipe.pipeline.storage", "WorkspaceView")}


def test_every_public_name_is_listed_once() -> None:
    assert sorted([*gradpipe.PUBLIC, "Workspace", "charts"]) == sorted(gradpipe.__all__)
    assert set(gradpipe.__all__) <= set(dir(gradpipe))


def test_charts_without_altair_name_the_extra() -> None:
    script = "import sys; sys.modules['altair'] = None; import gradpipe; gradpipe.charts"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: ")
    assert 'pip install "gradpipe[report]"' in done.stderr


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_documented_and_typed(name: str) -> None:
    public = PUBLIC[name]
    module, defined_as = CLASSES.get(
        name, (gradpipe.PUBLIC.get(name, CHARTS), name.removeprefix("charts."))
    )
    assert public.__name__ == defined_as
    assert public.__module__.startswith(module)
    assert inspect.getdoc(public)
    if inspect.isfunction(public):
        assert "return" in public.__annotations__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        gradpipe.no_such_name  # noqa: B018


@pytest.fixture(scope="module")
def names(small_model: Path, first_run: FirstRun) -> dict[str, object]:
    """The names that the examples of docstrings use without defining them."""
    loaded = gradpipe.load_model(str(small_model))
    return {
        "gp": gradpipe,
        "pl": pl,
        "model": loaded.model,
        "tokenizer": loaded.tokenizer,
        "model_folder": str(small_model),
        "workspace": first_run.workspace,
    }


@pytest.mark.parametrize("name", PUBLIC)
def test_the_examples_of_a_docstring_run(name: str, names: dict[str, object]) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    examples = doctest.DocTestFinder(recurse=False).find(PUBLIC[name], name, globs=names)
    for example in examples:
        runner.run(example)
    assert runner.tries > 0
    assert runner.failures == 0
