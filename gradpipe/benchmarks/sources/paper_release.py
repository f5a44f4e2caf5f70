"""The paper's own files: six reasoning sets, three MATH subjects and two of Wikipedia.

Li, Li and Zhou (ACL 2025) published the sampled rows with every response style, together with the
irrelevant responses that they made by shuffling (folders ``*_wrong_answer_shuffle``).
"""

from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from gradpipe.benchmarks.items import build_items
from gradpipe.benchmarks.pinned import PinnedFolder
from gradpipe.benchmarks.settings import BenchmarkSettings
from gradpipe.benchmarks.sources.source import Source
from gradpipe.benchmarks.table_files import instruction_column, parse_table, text_column
from gradpipe.benchmarks.texts import FINAL_ANSWER, last_boxed
from gradpipe.errors import DataError

RELEASE = PinnedFolder(
    section="release",
    address="github://MingLiiii:Layer_Gradient@e2072e8daa9f250cea025b2d3fa9590a901ca766/data",
)

TWIN = "_wrong_answer_shuffle"
REASONING = {"none": "no_cot", "simplified": "with_cot", "detailed": "with_cot_gpt4o"}


@dataclass(frozen=True)
class ReleaseFiles:
    """The files of one benchmark: ``styles`` maps a style to a file name in ``folder``."""

    family: str
    folder: str
    styles: dict[str, str]

    def files(self) -> dict[tuple[str, str], str]:
        """Map (style, relevance) to a file path relative to the release's data folder."""
        return {
            (style, relevance): f"{self.folder}{suffix}/{file}"
            for relevance, suffix in (("correct", ""), ("irrelevant", TWIN))
            for style, file in self.styles.items()
        }


def _reasoning(name: str, family: str) -> ReleaseFiles:
    styles = {style: f"{name}_train_{file}.json" for style, file in REASONING.items()}
    return ReleaseFiles(family, "cot_500", styles)


def _math(subject: str) -> ReleaseFiles:
    styles = {s: f"{subject}_{f}.json" for s, f in REASONING.items() if s != "none"}
    return ReleaseFiles("math", "lighteval_math", styles)


RELEASE_FILES = {
    "gsm8k": _reasoning("gsm8k", "math"),
    "aqua": _reasoning("aqua", "math"),
    "ecqa": _reasoning("ecqa", "commonsense"),
    "creak": _reasoning("creak", "commonsense"),
    "sensemaking": _reasoning("sensemaking", "commonsense"),
    "strategyqa": _reasoning("strategyqa", "commonsense"),
    "math_algebra": _math("algebra"),
    "math_counting_probability": _math("counting_probability"),
    "math_geometry": _math("geometry"),
    "wiki_popular": ReleaseFiles(
        "knowledge",
        "wiki_popularity",
        {f"length_{n}": f"popular_wikipedia_{n}.json" for n in (100, 500, 1000)},
    ),
    "wiki_unpopular": ReleaseFiles(
        "knowledge", "wiki_popularity", {"article": "long_tail_wikipedia.json"}
    ),
}


def benchmark_file(name: str) -> str:
    """The file that defines a benchmark's rows: its first style's, relative to the data folder."""
    return next(iter(RELEASE_FILES[name].files().values()))


def _read_file(config: BenchmarkSettings, file: str) -> pl.DataFrame:
    location = RELEASE.location(config, file)
    rows = parse_table(RELEASE.read(config, file), location)
    RELEASE.check_rows(config, file, rows)
    return pl.DataFrame(
        [
            instruction_column(rows, "instruction", location).alias("instruction"),
            text_column(rows, "output", location).alias("output"),
        ]
    )


def _with_answers(table: pl.DataFrame, layout: ReleaseFiles) -> pl.DataFrame:
    nothing = pl.lit(None, dtype=pl.String)
    if "none" in layout.styles:
        answer = pl.col("none/correct")
        simplified = pl.col("simplified/correct")
        ending = pl.lit(FINAL_ANSWER) + answer
        rationale = (
            pl.when(simplified.str.ends_with(ending))
            .then(simplified.str.strip_suffix(ending))
            .otherwise(nothing)
        )
    elif layout.family == "math":
        boxed = [last_boxed(text or "") for text in table["simplified/correct"]]
        answer, rationale = pl.lit(pl.Series(boxed, dtype=pl.String)), nothing
    else:
        title = pl.col("instruction").str.strip_prefix('"Tell me about ').str.strip_suffix('."')
        answer, rationale = title, nothing
    return table.with_columns(answer=answer, rationale=rationale)


class PaperRelease(Source[BenchmarkSettings]):
    """The paper's published data."""

    name = "release"
    families: ClassVar = {name: files.family for name, files in RELEASE_FILES.items()}
    implied_by_name = True

    def content(self, config: BenchmarkSettings) -> dict[str, str]:
        """Identify the content of each file that ``read`` would read."""
        return RELEASE.content(config, list(RELEASE_FILES[config.name].files().values()))

    def read(self, config: BenchmarkSettings) -> pl.DataFrame:
        """Read all rows of a release benchmark as items, with correct and irrelevant responses.

        The answer is the ``none`` response; for MATH the last ``\\boxed{}`` of the solution; for
        Wikipedia the title. Raises DataError when a file is missing, altered or does not match the
        others.
        """
        layout = RELEASE_FILES[config.name]
        columns = {key: "/".join(key) for key in layout.files()}
        table: pl.DataFrame | None = None
        for key, file in layout.files().items():
            rows = _read_file(config, file)
            if table is None:
                table = rows.select("instruction")
            elif not table["instruction"].equals(rows["instruction"]):
                raise DataError(
                    f"{RELEASE.location(config, file)} has other instructions than "
                    f"{benchmark_file(config.name)}, or the same in another order: take both from "
                    "one revision."
                )
            table = table.with_columns(rows["output"].alias(columns[key]))
        assert table is not None
        return build_items(_with_answers(table, layout), config.name, self.family(config), columns)
