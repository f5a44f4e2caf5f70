"""The responses that a study's generator wrote, as rows of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from assets.planning.response_origins import provenance_of
from gradpipe.errors import DataError, StudyError, nearest
from gradpipe.responses.export.message_rows import message_rows, message_schema
from gradpipe.responses.provenance import THE_SOURCE
from gradpipe.studies.study import Study
from gradpipe.styles import STYLES
from storage.generated_answers import answers_of_calls
from storage.workspace import Workspace


@dataclass(frozen=True)
class ExportedRows:
    """The ``rows`` of an export (``message_schema``) and what is not among them.

    ``rejected`` counts the responses that did not pass the gates; ``missing`` are the benchmarks
    whose responses are not written yet.
    """

    rows: pl.DataFrame
    rejected: int
    missing: list[str]


def exported_rows(
    workspace: Workspace,
    study: Study,
    benchmarks: Sequence[str] = (),
    styles: Sequence[str] = (),
    *,
    accepted: bool = True,
    with_thinking: bool = False,
) -> ExportedRows:
    """The responses that a model wrote for some benchmarks and styles, by default for all.

    ``accepted``: only responses that passed the gates. Raises StudyError for an unknown benchmark
    or style, and DataError if there are no such responses.
    """
    for style in styles:
        if style not in STYLES:
            raise StudyError(f"There is no style {style!r}: {nearest(style, STYLES)}")
    names = [study.benchmark(name).name for name in benchmarks]
    names = names or [entry.name for entry in study.benchmarks]
    there = [name for name in names if workspace.quality(name).notes() is not None]
    if not there:
        raise DataError(
            f"There are no responses to export in {workspace.root} yet: run `gradpipe run` first."
        )
    written = {name: _written(workspace, study, name) for name in there}
    _require(written, styles)
    rows, rejected = [message_schema(with_thinking).to_frame()], 0
    for name, provenance in written.items():
        wanted = provenance.filter(pl.col("style").is_in(list(styles))) if styles else provenance
        passed = wanted.filter(pl.col("verdict") == "passed") if accepted else wanted
        rejected += wanted.height - passed.height
        answers = answers_of_calls(workspace, passed["key"])
        items = workspace.items(name).read()
        rows.append(message_rows(items, passed, answers, with_thinking=with_thinking))
    table = pl.concat(rows)
    if table.is_empty():
        raise DataError(
            f"None of the {rejected} responses passed the gates: export all of them with --all, or "
            "choose another model or prompt."
        )
    return ExportedRows(table, rejected, [name for name in names if name not in there])


def _written(workspace: Workspace, study: Study, benchmark: str) -> pl.DataFrame:
    """The provenance of the responses of one benchmark that a model wrote."""
    provenance = provenance_of(workspace, study, benchmark)
    return provenance.filter(pl.col("written_by") != THE_SOURCE)


def _require(written: dict[str, pl.DataFrame], styles: Sequence[str]) -> None:
    """Raise DataError unless a model wrote responses, in each of some styles."""
    there = [style for style in STYLES if any(style in one["style"] for one in written.values())]
    if not there:
        raise DataError(
            f"No model wrote responses to {', '.join(written)}: set the study's `generator`, then "
            "run `gradpipe run`."
        )
    for style in styles:
        if style not in there:
            raise DataError(
                f"No model wrote responses of the style {style!r}: choose from {', '.join(there)}."
            )
