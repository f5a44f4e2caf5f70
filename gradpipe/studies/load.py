"""Reading study files, with errors that name the mistake, and writing them."""

from __future__ import annotations

import os
from pathlib import Path

import yaml
from pydantic import ValidationError

from gradpipe.errors import GradpipeError, StudyError, nearest
from gradpipe.generators.secrets import holds_key
from gradpipe.studies.find_mistakes import find_mistakes
from gradpipe.studies.mistakes import Mistake, describe
from gradpipe.studies.paths import StudyPaths, path_reason
from gradpipe.studies.shipped import shipped_studies, shipped_study
from gradpipe.studies.study import Study
from gradpipe.untrusted.files import read_regular
from gradpipe.untrusted.yaml import LARGEST_STUDY, RefusedYAMLError, read_yaml
from gradpipe.untrusted.yaml_lines import YamlLines

#: Characters of a study's name.
_LONGEST_NAME = 100


def load_study(study: str) -> Study:
    """Load a study from its YAML file, or by the name of one that ships.

    Relative paths inside the file start at the file's own folder. A leading ``~`` of a path is the
    home folder; nothing else is expanded, neither ``$HOME`` nor any other variable. A study without
    a ``name`` is named like its file, or like its folder if the file is ``study.yaml``.

    Args:
        study: The path of a .yaml or .yml file, or ``demo``, ``demo_generated``, ``paper``,
            ``quality`` or ``thinking``.

    Returns:
        The study, validated and with every default filled in.

    Raises:
        StudyError: The file is missing or too large, or keys or values in it are invalid; the
            message lists all of them with their lines.

    Examples:
        >>> study = gp.load_study("demo")
        >>> [benchmark.name for benchmark in study.benchmarks][:2]
        ['mini_maths', 'mini_commonsense']
    """
    try:
        path = Path(study).expanduser()
        given = path.suffix in {".yaml", ".yml"} or path.is_file()
        text = read_regular(path, LARGEST_STUDY).decode("utf-8") if given else ""
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        raise StudyError(
            f"The study file {study} cannot be read ({path_reason(error)}): check the path."
        ) from error
    if given:
        # Unlike `Path.absolute`, this leaves out `..`, which would be the name of a study.
        written = Path(os.path.abspath(path))
        return _named_by_file(parse_study(text, study, path.resolve().parent), written)
    names = shipped_studies()
    if study not in names:
        raise StudyError(
            f"There is no study {study!r}, neither a .yaml file nor a shipped study: "
            f"{nearest(study, names)}"
        )
    return parse_study(shipped_study(study), study)


def _named_by_file(study: Study, path: Path) -> Study:
    """A study without a name with that of its file; ``name`` is still not in its set fields."""
    if "name" in study.model_fields_set:
        return study
    stem = path.parent.name if path.stem == study.name else path.stem
    named = study.model_copy(update={"name": (stem or study.name)[:_LONGEST_NAME]})
    named.model_fields_set.discard("name")
    return named


def parse_study(text: str, source: str, folder: Path | None = None) -> Study:
    """Parse a study from YAML.

    ``source`` is its name in errors, ``folder`` the start of its relative paths. Raises StudyError.
    """
    if holds_key(text):
        # Wherever it is in the file, errors, pages and logs would repeat it.
        raise StudyError(
            f"The study {source} contains what looks like a key or token: put it into an "
            "environment variable, such as OPENAI_API_KEY or HF_TOKEN, and delete it from the file."
        )
    try:
        content = read_yaml(text)
    except RefusedYAMLError as error:
        raise StudyError(
            f"The study {source} is refused at line {error.line} ({error.problem}): {error.cure}."
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # ValueError: an invalid date or number, such as 2024-13-45.
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise StudyError(
            f"The study {source} is not valid YAML{line} ({problem}): check its indentation, "
            "quotes and brackets."
        ) from error
    if not isinstance(content, dict):
        raise StudyError(
            f"The study {source} is not a mapping: start it with `models:` and `benchmarks:`."
        )
    located = StudyPaths(content, folder) if folder else None
    mistakes = list(located.mistakes) if located else []
    content = located.content if located else content
    try:
        study = Study.model_validate(content)
        if not mistakes:
            return study
    except (ValidationError, GradpipeError) as error:
        mistakes += find_mistakes(content) or [Mistake((), str(error))]
    raise StudyError(describe(mistakes, source, YamlLines(text).at))


def study_yaml(study: Study) -> str:
    """The study as YAML, from which ``parse_study`` makes the same study, series unexpanded."""
    content = study.with_models(study.entries).model_dump(mode="json", exclude_defaults=True)
    content["protocol"] = study.protocol.model_dump(mode="json")
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    if "\x85" in text:
        # PyYAML writes this line break unescaped and reads it back as another one.
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=False)
    return text
