"""A command whose optional package is missing names the extra that brings it."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from gradpipe.cli import main
from gradpipe.system.extras import OPTIONAL_PACKAGES

ROOT = Path(__file__).resolve().parents[2]


def without_extras(*commands: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Commands in a process that has no optional package, as with the library alone.

    The process ends with the first command that fails.

    fsspec stays: huggingface_hub brings it.
    """
    script = (
        "import sys\n"
        # With None here, an import fails, and transformers finds no package.
        f"sys.modules.update(dict.fromkeys({set(OPTIONAL_PACKAGES) - {'fsspec'}!r}))\n"
        "from gradpipe.cli import main\n"
        f"for words in {commands!r}:\n"
        "    if code := main(words, standalone_mode=False):\n"
        "        sys.exit(code)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_run_without_dagster_names_its_extra(home: Path) -> None:
    done = without_extras(("run",))
    assert done.returncode == 2, done.stderr
    (message,) = done.stderr.splitlines()
    for words in ("gradpipe run", "Dagster", 'pip install "gradpipe[pipeline]"'):
        assert words in message


def test_extract_and_rank_need_no_extra(small_model: Path, tmp_path: Path) -> None:
    data, table = tmp_path / "pairs.jsonl", tmp_path / "spectra.parquet"
    data.write_text('{"instruction": "Say one.", "output": "One it is."}\n')
    model = ("--model", str(small_model))
    done = without_extras(
        ("extract", str(data), *model, "--out", str(table)),
        ("rank", str(data), "--spectra", str(table)),
        ("rank", str(data), *model, "--overwrite"),
    )
    assert done.returncode == 0, done.stderr
    assert table.is_file()


@pytest.mark.parametrize("name", ["torch", "gradpipe.nothing", None])
def test_any_other_missing_module_stays_a_bug(
    name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: bool) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(main.commands["status"], "callback", fail)
    result = CliRunner().invoke(main, ["status"])
    assert isinstance(result.exception, ModuleNotFoundError)


def test_every_named_extra_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
        "optional-dependencies"
    ]
    assert {extra for _, extra in OPTIONAL_PACKAGES.values()} <= set(extras)


def test_version_names_the_program() -> None:
    result = CliRunner().invoke(main, ["--version"], prog_name="gradpipe")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("gradpipe, version ")
