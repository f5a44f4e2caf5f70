"""The hub: GSM8K, AQuA-RAT and MATH at a pinned revision, and any other data set by its name."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import polars as pl
from pydantic import Field

from gradpipe.benchmarks.fetch import join
from gradpipe.benchmarks.hub_datasets import (
    HubDataset,
    is_dataset_name,
    parse_split,
    require_dataset_name,
)
from gradpipe.benchmarks.hub_rows import read_hub_dataset
from gradpipe.benchmarks.items import build_items
from gradpipe.benchmarks.remote_parquet import read_parquet
from gradpipe.benchmarks.repository import (
    Repository,
    RepositorySettings,
    check_folder_or_revision,
)
from gradpipe.benchmarks.settings import LineBreakSettings, TableSettings
from gradpipe.benchmarks.sources.source import Source
from gradpipe.benchmarks.table_files import instruction_column, text_column
from gradpipe.benchmarks.table_items import table_items, template_content
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
from gradpipe.tables.parts import frame_of_parts

GSM8K = Repository("openai/gsm8k", "740312add88f781978c0658806c59bc2815b9866")
AQUA = Repository("deepmind/aqua_rat", "33301c6a050c96af81f63cad5562cb5363e88971")
MATH = Repository("EleutherAI/hendrycks_math", "21a5633873b6a120296cce3e2df9d5550074f4a3")


class HubSettings(LineBreakSettings, RepositorySettings, TableSettings):
    """The settings of a benchmark on the hub."""

    split: str = Field(
        default="train",
        min_length=1,
        max_length=100,
        description="The split of a hub data set; of your own also a slice, ``train[:500]``.",
    )
    config: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="The configuration of a hub data set of your own, if it has several.",
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
    reads_own_styles = True
    families: ClassVar = dict.fromkeys(HUB_FILES, "math")

    def check(self, config: HubSettings) -> None:
        """Raise DataError for settings that the benchmark's data set does not have.

        Those are a ``path`` with a ``revision`` for a known benchmark, or one that can only be
        another data set, and for any other benchmark a ``path`` that is not ORG/NAME.
        """
        if config.name in HUB_FILES:
            _require_folder(config)
            check_folder_or_revision(config)
            _refuse(config, ("config", "response_template"), "reads its own columns and files")
        elif config.path is not None:
            require_dataset_name(config.path)
            parse_split(config.split)
            _refuse(config, ("line_breaks",), "is a data set of your own")

    def check_name(self, benchmark: str) -> None:
        """Do nothing: any name may be that of a data set, given as ``path``."""

    def revision(self, config: HubSettings) -> str | None:
        """The commit of a data set of the user's own."""
        return None if config.name in HUB_FILES else _dataset(config).revision

    def content(self, config: HubSettings) -> dict[str, str]:
        """Identify the content of the file that ``read`` would read, and its line breaks."""
        if config.name not in HUB_FILES:
            return _dataset_content(_dataset(config)) | template_content(config)
        file = HUB_FILES[config.name]
        breaks = {"line_breaks": "escaped"} if config.line_breaks == "escaped" else {}
        return file.repository.content(config, [file.path(config)]) | breaks

    def read(self, config: HubSettings) -> pl.DataFrame:
        """Read all rows of a split as items; of a data set of the user's own by ``table_items``.

        A known benchmark has the styles ``none`` and ``simplified``. ``none`` is the answer.
        ``simplified`` is the source's rationale followed by FLAN's last line; for MATH it is the
        solution itself, as in the paper's release. GSM8K's calculator marks are removed. Raises
        DataError when the data are missing, unreachable or have different columns.
        """
        if config.name not in HUB_FILES:
            dataset = _dataset(config)
            rows = frame_of_parts([read_hub_dataset(dataset)], str(dataset))
            return table_items(rows, config, str(dataset), self.family(config))
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


def _dataset(config: HubSettings) -> HubDataset:
    """The data set of a benchmark that is not a known one, pinned; raises DataError."""
    if config.path is None:
        raise DataError(
            f"the source 'hub' has no benchmark {config.name!r}: "
            f"{nearest(config.name, list(HUB_FILES))} For another data set, give its `path`, "
            "written ORG/NAME."
        )
    return HubDataset(config.path, config.config, config.split, config.revision).pinned()


def _require_folder(config: HubSettings) -> None:
    """Raise DataError if the path of a known benchmark can only be the name of a data set."""
    path = config.path
    if path is not None and is_dataset_name(path) and not Path(path).exists():
        raise DataError(
            f"the benchmark {config.name!r} is built in, and there is no folder {path} with a copy "
            f"of its files: for the data set {path} of the hub, give it another `name`, such as "
            f"{path.replace('/', '-')}."
        )


def _dataset_content(dataset: HubDataset) -> dict[str, str]:
    choice = {"config": dataset.config, "split": dataset.split}
    chosen = {name: value for name, value in choice.items() if value is not None}
    return {dataset.name: str(dataset.revision)} | chosen


def _refuse(config: HubSettings, settings: tuple[str, ...], why: str) -> None:
    for setting in settings:
        if getattr(config, setting) != type(config).model_fields[setting].default:
            raise DataError(
                f"the benchmark {config.name!r} sets `{setting}`, but it {why}: remove it."
            )
