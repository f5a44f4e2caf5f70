"""The pipeline's packages under names of gradpipe's own."""

import pickle
import subprocess
import sys
from importlib import import_module

import pytest

from gradpipe.pipeline.renaming import PREFIX, rename_imports
from tests.conftest import ROOT


def test_imports_of_the_pipelines_modules_are_renamed_wherever_they_are() -> None:
    source = (
        "from storage.tables import Table\nimport polars.io\n"
        "def late():\n    from assets.planning.plan import Plan\n    return late.assets.storage\n"
    )
    code = rename_imports(compile(source, "source.py", "exec"))
    (function,) = (const for const in code.co_consts if hasattr(const, "co_names"))
    assert {f"{PREFIX}storage.tables", "polars.io"} <= set(code.co_names)
    assert {f"{PREFIX}assets.planning.plan", "assets", "storage"} <= set(function.co_names)


def test_a_renamed_module_is_another_import_of_the_same_file() -> None:
    renamed, plain = (import_module(f"{prefix}storage.names") for prefix in (PREFIX, ""))
    assert renamed is not plain
    assert renamed.__file__ == plain.__file__
    assert renamed.slug("a/b") == plain.slug("a/b")
    assert pickle.loads(pickle.dumps(renamed.unslug)) is renamed.unslug


def test_no_other_module_is_found_there() -> None:
    for name in ("definitions", "tests", "bench"):
        with pytest.raises(ModuleNotFoundError):
            import_module(f"{PREFIX}{name}")


def test_a_pickled_object_is_found_by_a_process_that_imported_nothing() -> None:
    locate = import_module(f"{PREFIX}storage.names").slug
    script = f"import pickle; print(pickle.loads({pickle.dumps(locate)!r})('a/b'))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "a~b"
