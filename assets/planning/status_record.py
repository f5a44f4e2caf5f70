"""The state of a study as one record for programs: `gradpipe status --json`."""

from datetime import UTC, datetime
from typing import Any

import polars as pl

from assets.gradient_spectra import GRADIENT_SPECTRA
from assets.planning.status import StageState, missing_replies, stage_states
from assets.planning.versions import Versions
from assets.responses import RESPONSES
from gradpipe.errors import GradpipeError
from gradpipe.gradients.rows import with_keys
from gradpipe.studies.study import Study
from storage.workspace import Workspace


def status_record(workspace: Workspace, study: Study) -> dict[str, Any]:
    """The state of a study with the rows and the time of every partition of every stage.

    ``study`` (name), ``workspace`` (folder or URL), ``current`` (whether everything is up to date),
    ``report`` (the page, or None without one), ``missing_opinions`` (per benchmark, replies
    of the judge that are missing) and ``stages``: one entry per stage and partition with

    - ``stage``, ``model`` and ``benchmark``, which are None if the stage has no such partitions;
    - ``state``: ``current``, ``out of date``, ``missing`` or ``weights gone``;
    - ``rows``: ``done``, the rows that the stage has; ``missing``, those to compute, None if their
      number depends on a stage before; ``unusable``, those done that have a reason instead of
      numbers, None for stages whose rows cannot be unusable;
    - ``when``: when the table was written, in UTC, None without a table.
    """
    versions = Versions(workspace, study)
    states = list(stage_states(workspace, study, versions))
    page = workspace.report_page
    return {
        "study": study.name,
        "workspace": str(workspace.root),
        "current": all(found.state == "current" for found in states),
        "report": str(page) if page.is_file() else None,
        "stages": [_entry(versions, found) for found in states],
        "missing_opinions": missing_replies(workspace, study),
    }


def _entry(versions: Versions, found: StageState) -> dict[str, Any]:
    return {
        "stage": found.stage.name,
        "model": found.partition.model or None,
        "benchmark": found.partition.benchmark or None,
        "state": found.state,
        "rows": _rows(versions, found),
        "when": _when(versions, found),
    }


def _rows(versions: Versions, found: StageState) -> dict[str, int | None]:
    done = found.notes.rows if found.notes else 0
    missing = 0 if found.state == "current" else None
    if found.stage is not GRADIENT_SPECTRA:
        return {"done": done, "missing": missing, "unusable": None}
    cell = found.partition.model, found.partition.benchmark
    unusable = pl.col("reason").is_not_null()
    if found.state == "current":
        index = versions.workspace.spectra_index(*cell).scan()
        return {"done": done, "missing": 0, "unusable": _count(index.filter(unusable))}
    try:
        keys = _keys(versions, found)
    except GradpipeError:
        # Without its weights or its tokenizer, a model has no keys.
        keys = None
    if keys is None:
        return {"done": done, "missing": None, "unusable": None}
    store = versions.workspace.spectra(*cell)
    present = keys.filter(~keys.is_in(store.missing(keys)))
    bad = store.scan(present).filter(unusable).select("key").collect()["key"].to_list()
    return {
        "done": len(present),
        "missing": len(keys) - len(present),
        "unusable": int(present.is_in(bad).sum()),
    }


def _keys(versions: Versions, found: StageState) -> pl.Series | None:
    """The keys of a partition's rows, one per example; None if the examples are to be made."""
    data = RESPONSES.files.partition_of(found.partition)
    if not all(versions.is_current(stage, data) for stage in (*RESPONSES.upstream, RESPONSES)):
        return None
    examples = versions.workspace.responses(data.benchmark).read()
    model = found.partition.model
    return with_keys(examples, versions.protocol(model), versions.row_identity(model))["key"]


def _count(rows: pl.LazyFrame) -> int:
    return int(rows.select(pl.len()).collect().item())


def _when(versions: Versions, found: StageState) -> str | None:
    if found.notes is None:
        return None
    written = versions.table(found.stage, found.partition).written()
    if written is None:
        return None
    return datetime.fromtimestamp(written, UTC).isoformat(timespec="seconds")
