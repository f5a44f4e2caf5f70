"""GSM8K, AQuA-RAT and MATH from the hub: Parquet files of a pinned revision."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import polars as pl
from pydantic import Field

from gradpipe.benchmarks.fetch import join
from gradpipe.benchmarks.items import build_items
from gradpipe.benchmarks.remote_parquet import read_parquet
from gradpipe.benchmarks.repository import (
    Repository,
    RepositorySettings,
    check_folder_or_revision,
)
from gradpipe.benchmarks.settings import LineBreakSettings
from gradpipe.benchmarks.sources.source import Source
from gradpipe.benchmarks.table_files import instruction_column, text_column
from gradpipe.benchmarks.texts import (
    FINAL_ANSWER,
    after_answer_line,
    before_answer_line,
    last_boxed,
    lettered,
    with_line_breaks,
    without_calculator_marks,
)
from gradpipe.errors import DataError, nearest

GSM8K = Repository("openai/gsm8k", "740312add88f781978c0658806c59bc2815b9866")
AQUA = Repository("deepmind/aqua_rat", "33301c6a050c96af81f63cad5562cb5363e88971")
MATH = Repository("EleutherAI/hendrycks_math", "21a5633873b6a120296cce3e2df9d5550074f4a3")


class HubSettings(LineBreakSettings, RepositorySettings):
    """The settings of a benchmark on the hub."""

    split: str = Field(
        default="train", min_length=1, max_length=50, description="The split of a hub data set."
    )


@dataclass(frozen=True)
class RepositoryFile:
    """The place of one benchmark in its repository, and how its rows become item columns."""

    repository: Repository
    folder: str
    splits: tuple[str, ...]
    columns: Callable[[pl.DataFrame, str], pl.DataFrame]

    def path(self, config: HubSettings) -> str:
        """The path of the benchmark's file in the repository.

        Raises DataError for an unknown split.
        """
        if config.split not in self.splits:
            raise DataError(
                f"{self.repository.name} has no split {config.split!r}: "
                f"{nearest(config.split, self.splits)}"
            )
        return f"{self.folder}/{config.split}-00000-of-00001.parquet"


def _gsm8k(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    explanation = without_calculator_marks(pl.col("answer"))
    table = pl.DataFrame(
        [
            instruction_column(rows, "question", name).alias("instruction"),
            text_column(rows, "answer", name),
        ]
    ).select(
        "instruction",
        rationale=before_answer_line(explanation),
        answer=after_answer_line(explanation),
        simplified=pl.lit(None, dtype=pl.String),
    )
    if table["answer"].null_count():
        row = table["answer"].is_null().arg_max()
        raise DataError(
            f"the answer in row {row} of {name} (counted from 0) has no line with ####: "
            "take GSM8K's own file."
        )
    return table


def _aqua(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    options = rows.get_column("options") if "options" in rows.columns else pl.Series([""])
    if options.dtype != pl.List(pl.String):
        raise DataError(f"{name} has no column `options` of lists of text: take AQuA-RAT's own.")
    return pl.DataFrame(
        [
            instruction_column(rows, "question", name),
            options.alias("options"),
            text_column(rows, "rationale", name),
            text_column(rows, "correct", name),
        ]
    ).select(
        "rationale",
        instruction=pl.concat_str("question", pl.lit("\nOptions:\n"), lettered(pl.col("options"))),
        answer=pl.format("({})", pl.col("correct").str.strip_chars()),
        simplified=pl.lit(None, dtype=pl.String),
    )


def _math(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    solution = text_column(rows, "solution", name)
    boxed = [last_boxed(text or "") for text in solution]
    return pl.DataFrame(
        [
            instruction_column(rows, "problem", name).alias("instruction"),
            pl.Series("answer", boxed, dtype=pl.String),
            solution.alias("rationale"),
            solution.alias("simplified"),
        ]
    )


_subject = partial(RepositoryFile, MATH, splits=("train", "test"), columns=_math)
HUB_FILES = {
    "gsm8k": RepositoryFile(GSM8K, "main", ("train", "test"), _gsm8k),
    "aqua": RepositoryFile(AQUA, "raw", ("train", "validation", "test"), _aqua),
    "math_algebra": _subject(folder="algebra"),
    "math_counting_probability": _subject(folder="counting_and_probability"),
    "math_geometry": _subject(folder="geometry"),
}


class Hub(Source[HubSettings]):
    """Data sets of the hub."""

    name = "hub"
    settings = HubSettings
    families: ClassVar = dict.fromkeys(HUB_FILES, "math")

    def check(self, config: HubSettings) -> None:
        """Raise DataError for a ``path`` together with a ``revision``."""
        check_folder_or_revision(config)

    def content(self, config: HubSettings) -> dict[str, str]:
        """Identify the content of the file that ``read`` would read, and its line breaks."""
        file = HUB_FILES[config.name]
        breaks = {"line_breaks": "escaped"} if config.line_breaks == "escaped" else {}
        return file.repository.content(config, [file.path(config)]) | breaks

    def read(self, config: HubSettings) -> pl.DataFrame:
        """Read all rows of a split as items, with the styles ``none`` and ``simplified``.

        ``none`` is the answer. ``simplified`` is the source's rationale followed by FLAN's last
        line; for MATH it is the solution itself, as in the paper's release. GSM8K's calculator
        marks are removed. Raises DataError when the file is missing, unreachable or has different
        columns.
        """
        file = HUB_FILES[config.name]
        location = join(file.repository.folder(config), file.path(config))
        rows = read_parquet(location)
        if rows.is_empty():
            raise DataError(f"{location} has no rows: give a file with at least one.")
        table = file.columns(rows, location)
        if config.line_breaks == "escaped":
            # The hub's line breaks are real ones, and a backslash before an n begins LaTeX's \\neq.
            texts = pl.col("instruction", "rationale", "simplified")
            table = table.with_columns(with_line_breaks(texts, "escaped"))
        ending = pl.lit(FINAL_ANSWER) + pl.col("answer")
        table = table.with_columns(
            none="answer",
            simplified=pl.coalesce("simplified", pl.concat_str("rationale", ending)),
        )
        responses = {("none", "correct"): "none", ("simplified", "correct"): "simplified"}
        return build_items(table, config.name, self.family(config), responses)
