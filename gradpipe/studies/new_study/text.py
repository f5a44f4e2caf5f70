"""A new study as YAML in which a comment explains each setting."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from gradpipe.claims.inference.bootstrap import MIN_ITEMS
from gradpipe.studies.new_study.data_entry import DataEntry
from gradpipe.studies.new_study.model_entry import ModelChoice
from gradpipe.studies.study_styles import StudyStyles
from gradpipe.untrusted.terminal_text import without_controls

#: Items per benchmark that give verdicts, and that a laptop computes for a small model.
DEFAULT_SAMPLE = 100
#: Characters of a comment on data.
_LONGEST_NOTE = 90
_TEMPLATE = """\
# A study of gradpipe, written by `gradpipe init`. A line that begins with # has no effect.
#   gradpipe check --study {file}       says what is wrong with it
#   gradpipe estimate --study {file}    says what it costs
#   gradpipe run --study {file}         runs it
# `gradpipe schema` lists all settings.

# A short name of the study, and the title of its report.
name: {name}
{title}

# The models: demo, a hub id such as Qwen/Qwen2-1.5B-Instruct, a folder such as ./runs/sft, or a
# .gguf file. {{id: ./runs/sft, checkpoints: "checkpoint-*"}} is all checkpoints of a training run.
models:
{models}

# The data: built-in benchmarks (`gradpipe benchmarks list`), tables of your own (source: files) and
# data sets of the hub (source: hub).
benchmarks:
{benchmarks}

# Items per benchmark: {fewest} decide a verdict, null takes all. Others that are added later cost
# only themselves. sampling: first takes the first items of the data.
sample: {sample}
sampling: random

{styles}

# The responses to compare: correct ones, irrelevant ones, which belong to another question, and
# rejected ones, where the data have them.
relevances: {relevances}

# How a response becomes tokens and a loss: standard, paper (Li et al., ACL 2025) or training.
protocol: standard

# Claims of your own, which the report judges beside the paper's.
# claims:
#   - {claim} on nuclear_norm
"""
_OWN_STYLES = """\
# The styles of responses, in the order in which they are compared; each may have a label, a color
# and the column that holds it. The style NAME_cut has the responses of NAME, cut to the length of
# the shortest one: what is left of a difference then is not due to length.
styles:"""


@dataclass(frozen=True)
class NewStudy:
    """What the user chose. ``sample`` None takes all items; ``title`` may be empty.

    ``styles`` is what the study declares, None for built-in styles only.
    """

    name: str
    models: Sequence[ModelChoice]
    data: Sequence[DataEntry]
    sample: int | None = DEFAULT_SAMPLE
    title: str = ""
    styles: StudyStyles | None = None


def default_sample(data: Sequence[DataEntry]) -> int:
    """Items per benchmark: DEFAULT_SAMPLE, or all if no benchmark has as many."""
    sizes = [DEFAULT_SAMPLE if entry.items is None else entry.items for entry in data]
    return min(DEFAULT_SAMPLE, max(sizes))


def new_study_text(study: NewStudy, file: str) -> str:
    """The study as commented YAML; ``file`` is its name in the commands of the first lines."""
    styles = list(dict.fromkeys(style for entry in study.data for style in entry.styles))
    own = list(study.styles.own) if study.styles else []
    pair = next((names[:2] for names in (own, styles) if len(names) > 1), ["none", "detailed"])
    rejected = ["rejected"] if any(entry.rejected for entry in study.data) else []
    # A question needs another one whose response it can get.
    alone = all(entry.items == 1 for entry in study.data)
    return _TEMPLATE.format(
        file=shlex.quote(_on_one_line(file)),
        name=scalar(study.name),
        title=f"title: {scalar(study.title)}" if study.title else "# title: What I want to know",
        models="\n".join(f"  - {scalar(one.setting)}  # {one.origin}" for one in study.models),
        benchmarks="\n".join(line for one in study.data for line in benchmark_lines(one)),
        fewest=MIN_ITEMS,
        sample=scalar(study.sample),
        styles=_style_lines(study.styles, styles or pair),
        relevances=scalar(["correct", *([] if alone else ["irrelevant"]), *rejected]),
        claim=" > ".join(pair),
    )


def _style_lines(declared: StudyStyles | None, found: Sequence[str]) -> str:
    """The setting ``styles``, with a comment; as a comment if the study declares none."""
    if declared is None:
        return (
            "# The styles of responses to measure; by default all that the data have.\n"
            f"# styles: {scalar(found)}"
        )
    entries = {name: declared.settings[name].as_mapping() for name in declared}
    lines = [f"  {name}: {scalar(one) if one else ''}".rstrip() for name, one in entries.items()]
    return "\n".join((_OWN_STYLES, *lines))


def benchmark_lines(entry: DataEntry) -> Iterator[str]:
    """A benchmark as an entry of a block list, indented by two, with a comment about it."""
    note = _on_one_line(entry.sentence())
    note = note if len(note) <= _LONGEST_NOTE else f"{note[: _LONGEST_NOTE - 3]}..."
    if isinstance(entry.setting, str):
        yield f"  - {scalar(entry.setting)}  # {note}"
        return
    yield f"  # {note}"
    sign = "-"
    for key, value in entry.setting.items():
        yield f"  {sign} {key}: {scalar(value)}"
        sign = " "
    if "source" in entry.setting and "family" not in entry.setting:
        yield "    # family: math  # which answers to expect: math, commonsense or knowledge"


def scalar(value: Any) -> str:
    """A value as YAML on one line."""
    text = yaml.safe_dump(
        [value], default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False
    )
    return str(text).strip()[1:-1]


def _on_one_line(text: str) -> str:
    return " ".join(without_controls(text).split())
