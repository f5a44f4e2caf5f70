"""The layers: who imports whom, what an import costs, how names and files are kept apart."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import polars as pl
import pytest

import gradpipe

ROOT = Path(__file__).resolve().parents[1]
CLI = ROOT / "gradpipe" / "cli"
#: What other Dagster projects import, and what reads a workspace: they name the modules above, and
#: load them when they are used.
DOORS = (ROOT / "gradpipe" / "dagster", ROOT / "gradpipe" / "workspace")
FOLDERS = [ROOT / top for top in ("gradpipe", "storage", "assets")]
FILES = [ROOT / "definitions.py", *(file for top in FOLDERS for file in sorted(top.rglob("*.py")))]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
#: Packages that take seconds to import.
HEAVY = {"torch", "transformers", "datasets", "altair", "ray", "sklearn", "peft"}
#: The hub's client, which takes a quarter of a second; only hub models and branches need it.
HUB_CLIENT = {"huggingface_hub", "huggingface_hub.hf_api"}
MOST_LINES = 300
#: From here on, an argument's place no longer says what it is.
MOST_POSITIONAL = 5
#: Folders whose imports stand at the top of the file.
BELOW_THE_BOUNDARY = ("gradients", "models", "statistics", "claims", "report")
#: What they may import inside functions, by file or folder: each is imported by `definitions`,
#: which must load nothing slow, and used by few of its runs.
LATE_IMPORTS = {
    # Estimates and rankings of finished spectra have no tokenizer.
    "gradpipe/gradients/template_renderer.py": {"transformers.utils.chat_template_utils"},
    # Renders templates; its answers are remembered.
    "gradpipe/gradients/template_alone.py": {"transformers.utils.chat_template_utils"},
    # Asks the hub; a study of local models never does.
    "gradpipe/models/fingerprint.py": {"gradpipe.models.hub"},
    "gradpipe/models/tokenizer_files.py": {
        "gradpipe.models.hub",
        "gradpipe.untrusted.gguf_header",
    },
    "gradpipe/models/equal_weights.py": {"gradpipe.models.hub"},
    "gradpipe/models/adapters/base.py": {"gradpipe.models.hub"},
    # An optional package, for adapters only; it takes seconds to import.
    "gradpipe/models/adapters/load.py": {"peft"},
    # Reads a .gguf file or asks the hub, once per model.
    "gradpipe/models/template_text.py": {"gradpipe.untrusted.gguf_header"},
    # Statistics of claims: scipy takes a second to import.
    "gradpipe/claims": {"scipy.optimize", "scipy.special", "scipy.stats"},
    "gradpipe/statistics/t_intervals.py": {"scipy.special"},
    "gradpipe/statistics/correlation.py": {"scipy.special"},
    # The model of detection: scikit-learn is an optional package, and takes seconds to import.
    "gradpipe/statistics/detection/logistic_scores.py": {
        "sklearn.linear_model",
        "sklearn.preprocessing",
    },
    "gradpipe/statistics/detection/grouped_folds.py": {"scipy.sparse", "scipy.sparse.csgraph"},
    # Charts, pages and their images are drawn when a report is built, some by optional packages.
    "gradpipe/report": {"altair", "jinja2", "markupsafe", "vl_convert"},
}


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"), str(file))


@cache
def nodes(file: Path) -> tuple[ast.AST, ...]:
    """Every node of a file."""
    return tuple(ast.walk(tree(file)))


def below(folder: str) -> list[Path]:
    return [file for file in FILES if file.is_relative_to(ROOT / folder)]


def module_name(file: Path) -> str:
    """``gradpipe.report`` for gradpipe/report/__init__.py, and the like."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(node: ast.AST) -> Iterator[str]:
    """The dotted names that a statement imports: ``a.b`` and ``a.b.c`` for `from a.b import c`."""
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute: a layer must be visible in its name"
        yield node.module or ""
        yield from (f"{node.module}.{name.name}" for name in node.names)
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        name = ast.unparse(node.func).split(".")[-1]
        if name in {"import_module", "__import__", "lazy_import"}:
            yield str(node.args[0].value)


def packages(file: Path) -> set[str]:
    """The top-level packages a file imports, at module level or inside functions."""
    return {package for node in nodes(file) for package in packages_of(node)}


def packages_of(node: ast.AST) -> set[str]:
    """The top-level packages that a statement imports."""
    return {name.split(".")[0] for name in imported(node)}


def files_importing(files: list[Path], forbidden: set[str]) -> dict[str, set[str]]:
    """The files that import a forbidden package, and which."""
    uses = {str(file.relative_to(ROOT)): packages(file) & forbidden for file in files}
    return {file: names for file, names in uses.items() if names}


def loaded_by(statement: str, names: set[str]) -> list[str]:
    """Which of ``names`` a fresh interpreter has loaded after ``statement``."""
    script = f"{statement}\nimport sys\nprint(*sorted({names!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_files_looked_at_are_those_of_every_layer() -> None:
    layers = {file.relative_to(ROOT).parts[0] for file in FILES}
    assert layers == {"gradpipe", "storage", "assets", "definitions.py"}
    assert CLI / "__init__.py" in FILES
    assert "storage" in packages(CLI / "options.py")
    assert "torch" in packages(ROOT / "gradpipe" / "models" / "load.py")


def test_importing_the_definitions_loads_nothing_heavy() -> None:
    assert loaded_by("import definitions", HEAVY | HUB_CLIENT) == []


def test_importing_the_library_costs_nothing() -> None:
    assert loaded_by("import gradpipe", {"polars", "dagster", *HEAVY}) == []


def test_the_command_lines_help_loads_nothing_heavy() -> None:
    statement = "from click.testing import CliRunner\nfrom gradpipe.cli import main\n"
    statement += "assert CliRunner().invoke(main, ['--help']).exit_code == 0"
    assert loaded_by(statement, {"polars", "dagster", *HEAVY}) == []


def test_what_studies_and_tables_are_made_of_loads_nothing_heavy() -> None:
    modules = (
        "gradpipe.studies.load",
        "gradpipe.gradients.rows",
        "gradpipe.gradients.row_identity",
        "gradpipe.gradients.protocol",
        "gradpipe.gradients.checks",
        "gradpipe.models.source",
        "gradpipe.models.fingerprint",
        "gradpipe.models.placement",
        "gradpipe.models.roles",
        "gradpipe.statistics.partition",
        "gradpipe.estimates.costs",
    )
    assert loaded_by(f"import {', '.join(modules)}", HEAVY) == []


def late_imports(file: Path) -> set[str]:
    """The modules that a file imports inside its functions."""
    return {
        name
        for function in nodes(file)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else imported(node))
    }


@pytest.mark.parametrize("folder", BELOW_THE_BOUNDARY)
def test_imports_stand_at_the_top_of_the_file(folder: str) -> None:
    late = {
        str(file.relative_to(ROOT)): names
        for file in below(f"gradpipe/{folder}")
        if (names := late_imports(file))
    }
    for place, allowed in LATE_IMPORTS.items():
        late = {
            file: names - allowed if file.startswith(place) else names
            for file, names in late.items()
        }
    assert {file: names for file, names in late.items() if names} == {}


def test_a_late_import_would_be_found() -> None:
    assert "gradpipe.models.hub" in late_imports(ROOT / "gradpipe" / "models" / "fingerprint.py")


def test_the_library_imports_nothing_above_it() -> None:
    upper = (CLI, *DOORS)
    library = [file for file in below("gradpipe") if not any(map(file.is_relative_to, upper))]
    assert files_importing(library, {"dagster", "assets", "storage", "definitions"}) == {}
    imports_cli = [
        str(file.relative_to(ROOT))
        for file in [*library, *below("storage")]
        for node in nodes(file)
        if any(name.startswith("gradpipe.cli") for name in imported(node))
    ]
    assert imports_cli == []


def test_the_doors_to_the_layers_above_load_nothing_by_themselves() -> None:
    statement = "import gradpipe.dagster, gradpipe.workspace"
    assert loaded_by(statement, {"dagster", "assets", "storage", "polars"}) == []


def test_reading_a_workspace_loads_no_model_and_takes_no_name_of_other_projects() -> None:
    statement = "import gradpipe; gradpipe.Workspace"
    assert loaded_by(statement, {"assets", "storage", "dagster", *HEAVY}) == []


def test_the_pipeline_for_other_projects_takes_none_of_their_names() -> None:
    statement = "from gradpipe.dagster import build_study_definitions"
    assert loaded_by(statement, {"assets", "storage", "dagster", *HEAVY}) == ["dagster"]


@pytest.mark.parametrize("folder", ["assets", "storage"])
def test_the_pipelines_imports_can_be_renamed(folder: str) -> None:
    """`import storage.tables` and `from storage import tables` would load the short name."""
    plain = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in below(folder)
        for node in ast.walk(tree(file))
        if (isinstance(node, ast.ImportFrom) and node.module in {"assets", "storage"})
        or (isinstance(node, ast.Import) and packages_of(node) & {"assets", "storage"})
    ]
    assert plain == []


def test_storage_imports_nothing_above_it() -> None:
    assert files_importing(below("storage"), {"dagster", "assets", "definitions"}) == {}


def test_assets_do_not_import_their_definitions() -> None:
    assert files_importing(below("assets"), {"definitions"}) == {}


def test_no_module_imports_itself_through_others() -> None:
    """Imports inside functions count: they only hide a circle."""
    modules = {module_name(file): file for file in FILES}
    graph = {
        module: {
            name
            for node in nodes(file)
            for name in imported(node)
            if name in modules and name != module and not module.startswith(f"{name}.")
        }
        for module, file in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_a_circle_would_be_found() -> None:
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()


def test_no_test_imports_a_test_module() -> None:
    importing = [
        str(file.relative_to(ROOT))
        for file in TESTS
        for node in nodes(file)
        for name in imported(node)
        if name.startswith("tests.") and any(part.startswith("test_") for part in name.split("."))
        if not isinstance(node, ast.ImportFrom) or (node.module or "") == name
    ]
    assert importing == []


def test_a_module_is_one_idea_of_at_most_300_lines() -> None:
    lengths = {
        str(file.relative_to(ROOT)): len(file.read_text("utf-8").splitlines()) for file in FILES
    }
    assert {file: lines for file, lines in lengths.items() if lines > MOST_LINES} == {}


def test_the_top_of_the_library_holds_no_loose_helpers() -> None:
    top = {file.stem for file in (ROOT / "gradpipe").glob("*.py")}
    assert top == {"__init__", "errors", "styles", "check", "fields"}


def public_definitions(file: Path) -> set[str]:
    """The public classes, functions and constants that a file defines at its top level.

    An import, or ``name = other.name``, gives a definition another place, and does not count.
    """
    names: set[str] = set()
    for node in tree(file).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if not isinstance(node.value, ast.Name | ast.Attribute):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def test_a_public_name_is_defined_once() -> None:
    """But for charts: ``gp.charts.mad`` draws the table that ``gp.mad`` returns."""
    files_by_name: dict[str, set[str]] = {}
    for file in FILES:
        names = public_definitions(file)
        if file.is_relative_to(ROOT / "gradpipe" / "report" / "charts" / "kinds"):
            names -= set(gradpipe.PUBLIC)
        for name in names:
            files_by_name.setdefault(name, set()).add(str(file.relative_to(ROOT)))
    assert {name: files for name, files in files_by_name.items() if len(files) > 1} == {}


def test_a_call_gives_many_arguments_by_keyword() -> None:
    definitions = [
        node
        for file in FILES
        for node in nodes(file)
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    ours = {node.name for node in definitions}
    ours -= {n.name for n in definitions if not isinstance(n, ast.ClassDef) and n.args.vararg}
    # A method of a frame takes any number of expressions.
    ours -= set(dir(pl.LazyFrame))
    positional = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in FILES
        for node in nodes(file)
        if isinstance(node, ast.Call) and len(node.args) > MOST_POSITIONAL
        if ast.unparse(node.func).rpartition(".")[2] in ours
    ]
    assert positional == []


def test_every_folder_says_what_it_is() -> None:
    folders = [file for file in FILES if file.name == "__init__.py"]
    assert [str(file) for file in folders if not ast.get_docstring(tree(file))] == []


def test_no_error_is_caught_by_a_bare_except() -> None:
    for file in FILES:
        for node in nodes(file):
            assert not (isinstance(node, ast.ExceptHandler) and node.type is None), file


def test_no_code_that_comes_with_a_model_is_trusted() -> None:
    for file in FILES:
        for node in nodes(file):
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                assert isinstance(node.value, ast.Constant), file
                assert node.value.value is False, file
            # As a key of a mapping of options it could not be seen.
            assert not (isinstance(node, ast.Constant) and node.value == "trust_remote_code"), file
