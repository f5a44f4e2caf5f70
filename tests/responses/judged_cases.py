"""The judged benchmark: responses that were read and labeled, and what gradpipe says of them.

``judged.jsonl`` has texts that were written for the kinds of answers. ``judged_release.jsonl``
refers to texts of the paper's release, which the project does not contain: they are read from the
folder ``shared`` beside the project.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import polars as pl

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.read import read_items
from gradpipe.responses.gates import judge_responses

HERE = Path(__file__).resolve().parent
WRITTEN, RELEASE = HERE / "judged.jsonl", HERE / "judged_release.jsonl"
#: The paper's release beside the project.
RELEASE_FOLDER = HERE.parents[2] / "shared" / "layer-gradient"
#: What a reader says of a response: its final answer is the gold answer, it is another one, or
#: there is no final answer.
LABELS = ("right", "wrong", "none")

#: One row per response. ``read`` is the final answer that the reader read. ``round`` is 1 for the
#: first cases, 2 for harder ones of the kinds in which rules failed on the first (only those of the
#: release are left here), 3 for further ones of the same kinds as models usually write them, and 4
#: and 5 for ones of every kind and every set as models usually write them.
CASE_SCHEMA = pl.Schema(
    {
        "id": pl.String(),
        "kind": pl.String(),
        "origin": pl.String(),
        "style": pl.String(),
        "family": pl.String(),
        "question": pl.String(),
        "gold": pl.String(),
        "text": pl.String(),
        "finish_reason": pl.String(),
        "label": pl.String(),
        "read": pl.String(),
        "round": pl.Int64(),
    }
)
#: A line without a round is of the first one.
ROUND = pl.col("round").fill_null(1)


def written_cases() -> pl.DataFrame:
    """Read the written responses (CASE_SCHEMA)."""
    return pl.read_ndjson(WRITTEN, schema=CASE_SCHEMA).with_columns(ROUND)


def release_labels() -> pl.DataFrame:
    """Read the labels of the release's responses, which refer to their texts.

    ``kind`` is the benchmark, ``item`` the index of the item with the question and the gold answer,
    ``response_of`` the index of the item whose response is judged. The two differ where a response
    to another question serves as a wrong one.
    """
    texts = ("id", "kind", "origin", "style", "relevance", "label", "read")
    numbers = ("item", "response_of", "round")
    schema = dict.fromkeys(texts, pl.String()) | dict.fromkeys(numbers, pl.Int64())
    return pl.read_ndjson(RELEASE, schema=schema).with_columns(ROUND)


def release_cases(folder: Path = RELEASE_FOLDER) -> pl.DataFrame:
    """Read the labeled responses of the release in ``folder`` (CASE_SCHEMA).

    Raises DataError if a file is missing or is not the pinned one.
    """
    labels = release_labels()
    benchmarks = labels["kind"].unique(maintain_order=True).to_list()
    items = pl.concat(
        read_items(BenchmarkConfig(name=name, source="release", path=str(folder)))
        for name in benchmarks
    )
    questions = items.select(
        pl.col("benchmark").alias("kind"),
        pl.col("index").alias("item"),
        "family",
        pl.col("instruction").alias("question"),
        pl.col("answer").alias("gold"),
    )
    responses = (
        items.select(
            pl.col("benchmark").alias("kind"), pl.col("index").alias("response_of"), "responses"
        )
        .explode("responses")
        .unnest("responses")
    )
    return (
        labels.join(questions, on=["kind", "item"], how="left", maintain_order="left")
        .join(
            responses,
            on=["kind", "response_of", "style", "relevance"],
            how="left",
            maintain_order="left",
        )
        .with_columns(pl.lit(None, dtype=pl.String).alias("finish_reason"))
        .select(CASE_SCHEMA.names())
    )


def judged_by_us(cases: pl.DataFrame) -> pl.DataFrame:
    """Add ``verdict``, ``found_answer``, ``accepted`` and ``said``, one of LABELS, to ``cases``."""
    judged = judge_responses(cases.rename({"question": "instruction", "gold": "answer"}))
    said = (
        pl.when(pl.col("verdict") == "passed")
        .then(pl.lit("right"))
        .when(pl.col("verdict") == "answer_differs")
        .then(pl.lit("wrong"))
        .otherwise(pl.lit("none"))
    )
    return cases.with_columns(judged["verdict"], judged["found_answer"]).with_columns(
        (pl.col("verdict") == "passed").alias("accepted"), said.alias("said")
    )


@cache
def judged_written() -> pl.DataFrame:
    """The written responses as ``judged_by_us`` judges them."""
    return judged_by_us(written_cases())


@cache
def judged_release(folder: Path = RELEASE_FOLDER) -> pl.DataFrame:
    """The release's responses as ``judged_by_us`` judges them."""
    return judged_by_us(release_cases(folder))
