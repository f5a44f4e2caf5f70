"""The examples of a probe set: given in Python, or those of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from gradpipe.conversations.context import example_of
from gradpipe.conversations.examples import Example
from gradpipe.errors import DataError, StudyError
from gradpipe.gradients.protocol import Protocol, make_protocol
from gradpipe.standalone.user_examples import Examples, to_examples
from gradpipe.studies.examples import depends_on_calls, study_examples, study_items
from gradpipe.studies.load import load_study
from gradpipe.studies.study import Study

#: The columns of a study's examples that the spectra of a probe set keep.
LABELS = ("item_id", "benchmark", "family", "index", "style", "relevance")


@dataclass(frozen=True, kw_only=True)
class ProbeSet:
    """Examples in their order, and how they become tokens and a loss.

    ``labels`` has one row per example: its number ``example``, and LABELS for examples of a study.
    """

    examples: Sequence[Example]
    protocol: Protocol
    labels: pl.DataFrame


def probe_set_of_examples(
    examples: Examples,
    protocol: Protocol | str,
    columns: Mapping[str, str] | None,
    response_template: str | None,
) -> ProbeSet:
    """The probe set of examples as ``extract_spectra`` takes them; raises DataError if empty."""
    found = to_examples(examples, columns, response_template)
    if not found:
        raise DataError("The probe set has no examples: give at least one.")
    chosen = make_protocol(protocol) if isinstance(protocol, str) else protocol
    numbers = pl.DataFrame({"example": pl.arange(0, len(found), eager=True)})
    return ProbeSet(examples=found, protocol=chosen, labels=numbers)


def probe_set_of_table(examples: pl.DataFrame, protocol: Protocol) -> ProbeSet:
    """The probe set of a study's examples (EXAMPLE_SCHEMA)."""
    if "context" not in examples.columns:
        examples = examples.with_columns(context=pl.lit(None, pl.String))
    texts = examples.select("instruction", "response", "context").iter_rows()
    return ProbeSet(
        examples=[example_of(*row) for row in texts],
        protocol=protocol,
        labels=examples.select(pl.int_range(pl.len()).alias("example"), *LABELS),
    )


def probe_set_of_study(study: Study) -> ProbeSet:
    """The probe set of all examples that a study makes of its benchmarks, without a workspace.

    Raises StudyError if the responses depend on a generator or a judge, and DataError as reading
    the study's benchmarks does.
    """
    if depends_on_calls(study):
        raise StudyError(
            f"The responses of study {study.name!r} are written by a generator or judged by a "
            "model, whose answers are kept in a workspace: pass `workspace` too, after `gradpipe "
            "run` stored them."
        )
    parts = [
        study_examples(study, benchmark, study_items(study, benchmark)).examples
        for benchmark in study.benchmarks
    ]
    return probe_set_of_table(pl.concat(parts), study.protocol)


def probe_study(study: str, items: int | None) -> Study:
    """The study of this path or name, with at most ``items`` items per benchmark."""
    loaded = load_study(study)
    return loaded if items is None else with_items(loaded, items)


def with_items(study: Study, items: int) -> Study:
    """The study with at most ``items`` items per benchmark."""
    benchmarks = tuple(
        benchmark.model_copy(
            update={"sample": min(items, benchmark.sample or study.sample or items)}
        )
        for benchmark in study.benchmarks
    )
    return study.model_copy(update={"benchmarks": benchmarks})
