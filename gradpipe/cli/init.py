"""``gradpipe init``: write a commented study of the user's models and data."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from gradpipe.cli.extraction import data_options
from gradpipe.cli.new_study_data import NewStudyData
from gradpipe.cli.options import columns_option
from gradpipe.cli.study_questions import (
    ask_for_sample,
    ask_for_several,
    ask_for_text,
    asking_for_columns,
)
from gradpipe.errors import GradpipeError

if TYPE_CHECKING:
    from gradpipe.studies.new_study.data_entry import DataEntry
    from gradpipe.studies.new_study.model_entry import ModelChoice
    from gradpipe.studies.new_study.text import NewStudy

    Entry = TypeVar("Entry", DataEntry, ModelChoice)


@click.command("init")
@click.argument("file", metavar="[FILE]", default="study.yaml", type=click.Path(path_type=Path))
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help="A hub id, a folder, a .gguf file, or demo (default; repeatable).",
)
@click.option(
    "--data",
    multiple=True,
    metavar="DATA",
    help="Table files, hub:ORG/NAME, or a built-in benchmark (repeatable).",
)
@click.option("--name", help="A short name of the study (default: that of FILE, or of the data).")
@click.option("--title", default="", help="The title of the report (default: the name).")
@click.option(
    "--sample", type=click.IntRange(min=1), help="Items per benchmark (default: at most 100)."
)
@click.option(
    "--styles",
    "compared",
    metavar="COLUMN,...",
    help="Columns of responses to compare as styles of your own: COLUMN or STYLE=COLUMN.",
)
@columns_option
@data_options
@click.option("--yes", is_flag=True, help="Ask nothing: use defaults instead.")
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
def init_command(
    file: Path,
    models: tuple[str, ...],
    data: tuple[str, ...],
    name: str | None,
    title: str,
    sample: int | None,
    compared: str | None,
    columns: dict[str, str] | None,
    yes: bool,
    force: bool,
    **rows: str | None,
) -> None:
    """Write a study of your models and data, with a comment on each setting.

    FILE is study.yaml by default. In a terminal, asks what the options do not say. The columns of
    your own table are found by their names: --columns names others, with response styles as roles,
    as in --columns instruction=question,none=short,detailed=long. --styles names columns to compare
    as styles of your own, such as the answers of two teachers. The study is checked before it is
    written. Models are not loaded, and those of the hub are not looked up.
    """
    from gradpipe.studies.new_study.data_entry import HubRows, is_built_in
    from gradpipe.studies.new_study.model_entry import find_model_choice
    from gradpipe.studies.new_study.own_styles import styles_of_columns, with_own_styles
    from gradpipe.studies.new_study.text import NewStudy, default_sample

    asking = not yes and _can_ask()
    path = _writable(file, force, asking)
    model = partial(find_model_choice, folder=path.parent)
    benchmarks = NewStudyData(
        path.parent,
        columns,
        HubRows(**rows),
        # Beside own data, the options are for these.
        own=not data or not all(map(is_built_in, data)),
        asking=asking,
        styles=styles_of_columns(compared) if compared else None,
    )
    chosen = [benchmarks.find(text) for text in data]
    study = NewStudy(
        name=name or "",
        title=title,
        models=_ask_for_models(model) if asking and not models else list(map(model, models)),
        data=_ask_for_data(benchmarks.find) if asking and not data else chosen,
    )
    if not study.data:
        raise GradpipeError(
            "A study needs data: give --data FILE, --data hub:ORG/NAME, or a built-in benchmark, "
            "which `gradpipe benchmarks list` lists."
        )
    study = replace(study, models=_distinct(study.models), data=_distinct(study.data))
    if benchmarks.styles is not None:
        study = with_own_styles(study, benchmarks.styles)
    first = study.data[0].name if file.stem == "study" else file.stem
    study = replace(
        study,
        name=name or first,
        models=study.models or [model("demo")],
        sample=sample or default_sample(study.data),
    )
    if asking:
        study = _ask_for_the_rest(study, name, sample)
    _write(study, file, path)


def _can_ask() -> bool:
    """Whether a person can answer questions."""
    return sys.stdin.isatty()


def _writable(file: Path, force: bool, asking: bool) -> Path:
    """The file to write, behind any link; raises GradpipeError if it cannot or should not be."""
    from gradpipe.standalone.output_file import check_writable

    try:
        path = file.expanduser().resolve()
    except RuntimeError as error:
        raise GradpipeError(f"The path {file} is invalid ({error}): correct it.") from error
    if file.suffix not in {".yaml", ".yml"}:
        raise GradpipeError(f"A study is a YAML file: write {file}.yaml instead of {file}.")
    if not path.parent.is_dir():
        raise GradpipeError(f"There is no folder {path.parent}: create it first.")
    check_writable(path)
    if not path.exists() or force:
        return path
    if not asking or not click.confirm(f"{file} exists. Replace it?", err=True):
        raise GradpipeError(f"{file} exists: give another file, or --force to replace it.")
    return path


def _distinct(entries: Sequence[Entry]) -> list[Entry]:
    """Entries with a name each; says which ones got another than that of their file."""
    from gradpipe.studies.new_study.distinct_names import with_distinct_names

    distinct = with_distinct_names(entries)
    for old, new in zip(entries, distinct, strict=True):
        if old.name != new.name and isinstance(old.setting, dict):
            place = old.setting.get("path", old.setting.get("id"))
            click.echo(f"  {place} is named {new.name}, because {old.name} is taken.", err=True)
    return distinct


def _ask_for_models(find: Callable[[str], ModelChoice]) -> list[ModelChoice]:
    return ask_for_several("Model (a hub id, a folder, a .gguf file, or demo)", "demo", find)


def _ask_for_data(find: Callable[..., DataEntry]) -> list[DataEntry]:
    question = "Data (a file, hub:ORG/NAME, or a built-in benchmark)"
    return ask_for_several(question, "mini_maths", asking_for_columns(find))


def _ask_for_the_rest(study: NewStudy, name: str | None, sample: int | None) -> NewStudy:
    """Ask for the name, the title and the sample, unless they are given."""
    if name is None:
        study = replace(study, name=ask_for_text("A short name of the study", study.name))
    if not study.title:
        study = replace(study, title=ask_for_text("The title of its report, or Enter"))
    if sample is None and study.sample is not None:
        study = replace(study, sample=ask_for_sample(study.sample))
    return study


def _write(study: NewStudy, file: Path, path: Path) -> None:
    """Check a study, write it to ``path``, which the user calls ``file``, and say what to do next.

    Raises GradpipeError.
    """
    from gradpipe.claims.inference.bootstrap import MIN_ITEMS
    from gradpipe.standalone.output_file import write_atomically
    from gradpipe.studies.inputs import require_inputs
    from gradpipe.studies.load import parse_study
    from gradpipe.studies.new_study.text import new_study_text

    text = new_study_text(study, str(file))
    require_inputs(parse_study(text, str(file), path.parent))
    write_atomically(path, lambda aside: aside.write_text(text, "utf-8"))
    click.echo(f"Wrote {file}, and checked it.")
    for entry in study.data:
        if entry.items is not None and entry.items < MIN_ITEMS:
            click.echo(f"{entry.name} has {entry.items} items; a verdict needs {MIN_ITEMS}.")
    click.echo("Read it and change it as you like. Then:")
    quoted = shlex.quote(str(file))
    click.echo(f"  gradpipe estimate --study {quoted}   # its time, memory and disk space")
    click.echo(f"  gradpipe run --study {quoted}        # its results, and a report to open")
