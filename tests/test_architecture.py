"""The layers: who may import whom, what an import may cost, and what is never written anywhere."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FACE = ROOT / "gradpipe" / "cli"
FOLDERS = [ROOT / top for top in ("gradpipe", "storage", "assets")]
FILES = [ROOT / "definitions.py", *(file for top in FOLDERS for file in sorted(top.rglob("*.py")))]
#: Seconds each, before anything is done with them.
HEAVY = {"torch", "transformers", "datasets", "altair", "ray"}


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"), str(file))


def below(folder: str) -> list[Path]:
    return [file for file in FILES if file.is_relative_to(ROOT / folder)]


def imported(node: ast.AST) -> Iterator[str]:
    """The packages that a statement imports, by their first name; relative ones are gradpipe's."""
    if isinstance(node, ast.Import):
        yield from (name.name.split(".")[0] for name in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute, or their layer cannot be told"
        yield (node.module or "").split(".")[0]
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        name = ast.unparse(node.func).split(".")[-1]
        if name in {"import_module", "__import__", "lazy_import"}:
            yield str(node.args[0].value).split(".")[0]


def packages(file: Path) -> set[str]:
    """Everything a file imports, at module level or inside functions."""
    return {name for node in ast.walk(tree(file)) for name in imported(node)}


def at_import(nodes: list[ast.stmt]) -> Iterator[ast.AST]:
    """The statements that run when a module is imported: not functions, not `if TYPE_CHECKING`."""
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from at_import(node.orelse)
            continue
        yield node
        inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
        yield from at_import(inner)
        for handler in getattr(node, "handlers", []):
            yield from at_import(handler.body)


def loaded_by(statement: str, names: set[str]) -> list[str]:
    """Which of ``names`` a fresh interpreter has loaded after ``statement``."""
    script = f"{statement}\nimport sys\nprint(*sorted({names!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def knowing(files: list[Path], forbidden: set[str]) -> dict[str, set[str]]:
    """The files that import something forbidden, and what."""
    found = {str(file.relative_to(ROOT)): packages(file) & forbidden for file in files}
    return {file: names for file, names in found.items() if names}


def test_there_is_something_to_look_at() -> None:
    layers = {file.relative_to(ROOT).parts[0] for file in FILES}
    assert layers == {"gradpipe", "storage", "assets", "definitions.py"}
    assert FACE / "__init__.py" in FILES
    assert "storage" in packages(FACE / "options.py")
    assert "torch" in packages(ROOT / "gradpipe" / "models" / "load.py")


def test_importing_the_definitions_loads_nothing_heavy() -> None:
    assert loaded_by("import definitions", HEAVY) == []


def test_importing_the_library_costs_nothing() -> None:
    assert loaded_by("import gradpipe", {"polars", "torch", "dagster", *HEAVY}) == []


def test_the_command_lines_help_loads_nothing_heavy() -> None:
    statement = "from click.testing import CliRunner\nfrom gradpipe.cli import main\n"
    statement += "assert CliRunner().invoke(main, ['--help']).exit_code == 0"
    assert loaded_by(statement, {"polars", "dagster", *HEAVY}) == []


def test_the_library_knows_nothing_above_it() -> None:
    library = [file for file in below("gradpipe") if not file.is_relative_to(FACE)]
    assert knowing(library, {"dagster", "assets", "storage", "definitions"}) == {}


def test_storage_knows_nothing_above_it() -> None:
    assert knowing(below("storage"), {"dagster", "assets", "definitions"}) == {}


def test_assets_do_not_know_their_definitions() -> None:
    assert knowing(below("assets"), {"definitions"}) == {}


def test_heavy_packages_are_imported_inside_functions() -> None:
    for file in FILES:
        loaded = {name for node in at_import(tree(file).body) for name in imported(node)}
        assert not loaded & HEAVY, file


@pytest.mark.parametrize(
    ("source", "loads"),
    [
        ("import torch", True),
        ("try:\n    import numpy\nexcept ImportError:\n    from torch import nn", True),
        ("class A:\n    import torch.nn as nn", True),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    import torch", True),
        ("if TYPE_CHECKING:\n    import torch", False),
        ("if typing.TYPE_CHECKING:\n    from torch import Tensor", False),
        ("def f():\n    import torch", False),
        ("class A:\n    def f(self):\n        import torch", False),
    ],
)
def test_what_runs_at_import_is_told_from_what_does_not(source: str, loads: bool) -> None:
    names = {name for node in at_import(ast.parse(source).body) for name in imported(node)}
    assert ("torch" in names) is loads


def test_no_fault_is_caught_by_a_bare_except() -> None:
    for file in FILES:
        for node in ast.walk(tree(file)):
            assert not (isinstance(node, ast.ExceptHandler) and node.type is None), file


def test_no_code_that_comes_with_a_model_is_trusted() -> None:
    for file in FILES:
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                assert isinstance(node.value, ast.Constant), file
                assert node.value.value is False, file
            # As a key of some options it could not be told.
            assert not (isinstance(node, ast.Constant) and node.value == "trust_remote_code"), file
