"""The paper's own files: six reasoning sets, three MATH subjects and two of Wikipedia.

Li, Li and Zhou (ACL 2025) published the sampled rows with every response style, together with the
irrelevant responses that they made by shuffling (folders ``*_wrong_answer_shuffle``).
"""

from dataclasses import dataclass

import polars as pl

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.items import build_items
from gradpipe.benchmarks.pinned import PinnedFolder
from gradpipe.benchmarks.table_files import instruction_column, parse_table, text_column
from gradpipe.errors import DataError

FOLDER = PinnedFolder(
    section="release",
    address="github://MingLiiii:Layer_Gradient@e2072e8daa9f250cea025b2d3fa9590a901ca766/data",
)

TWIN = "_wrong_answer_shuffle"
REASONING = {"none": "no_cot", "simplified": "with_cot", "detailed": "with_cot_gpt4o"}
FINAL_ANSWER = "\nThe final answer is "


@dataclass(frozen=True)
class Layout:
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


def _reasoning(name: str, family: str) -> Layout:
    return Layout(family, "cot_500", {s: f"{name}_train_{f}.json" for s, f in REASONING.items()})


def _math(subject: str) -> Layout:
    styles = {s: f"{subject}_{f}.json" for s, f in REASONING.items() if s != "none"}
    return Layout("math", "lighteval_math", styles)


LAYOUTS = {
    "gsm8k": _reasoning("gsm8k", "math"),
    "aqua": _reasoning("aqua", "math"),
    "ecqa": _reasoning("ecqa", "commonsense"),
    "creak": _reasoning("creak", "commonsense"),
    "sensemaking": _reasoning("sensemaking", "commonsense"),
    "strategyqa": _reasoning("strategyqa", "commonsense"),
    "math_algebra": _math("algebra"),
    "math_counting_probability": _math("counting_probability"),
    "math_geometry": _math("geometry"),
    "wiki_popular": Layout(
        "knowledge",
        "wiki_popularity",
        {f"length_{n}": f"popular_wikipedia_{n}.json" for n in (100, 500, 1000)},
    ),
    "wiki_unpopular": Layout(
        "knowledge", "wiki_popularity", {"article": "long_tail_wikipedia.json"}
    ),
}

FAMILIES = {name: layout.family for name, layout in LAYOUTS.items()}


def read(config: BenchmarkConfig) -> pl.DataFrame:
    """Read all rows of a release benchmark as items, with correct and irrelevant responses.

    The answer is the ``none`` response; for MATH the last ``\\boxed{}`` of the solution; for
    Wikipedia the title. Raises DataError when a file is missing, altered or does not match the
    others.
    """
    layout = LAYOUTS[config.name]
    columns = {key: "/".join(key) for key in layout.files()}
    table: pl.DataFrame | None = None
    for key, file in layout.files().items():
        rows = _read_file(config, file)
        if table is None:
            table = rows.select("instruction")
        elif not table["instruction"].equals(rows["instruction"]):
            raise DataError(
                f"{FOLDER.location(config, file)} has other instructions, or the same in another "
                f"order, than {benchmark_file(config.name)}: take both from one revision."
            )
        table = table.with_columns(rows["output"].alias(columns[key]))
    assert table is not None
    return build_items(
        _with_answers(table, layout), config.name, config.family or layout.family, columns
    )


def content(config: BenchmarkConfig) -> dict[str, str]:
    """Identify the content of each file that ``read`` would read."""
    return FOLDER.content(config, list(LAYOUTS[config.name].files().values()))


def benchmark_file(name: str) -> str:
    """The file that defines a benchmark's rows: its first style's, relative to the data folder."""
    return next(iter(LAYOUTS[name].files().values()))


def last_boxed(text: str) -> str | None:
    r"""The content of the last ``\boxed{...}`` whose braces balance, or None."""
    opening = "\\boxed{"
    start = text.rfind(opening)
    while start >= 0:
        depth = 1
        begin = start + len(opening)
        for position in range(begin, len(text)):
            # An escaped brace, as in set notation, is text and does not count.
            if text[position - 1] != "\\":
                depth += {"{": 1, "}": -1}.get(text[position], 0)
            if depth == 0:
                return text[begin:position]
        start = text.rfind(opening, 0, start)
    return None


def _read_file(config: BenchmarkConfig, file: str) -> pl.DataFrame:
    location = FOLDER.location(config, file)
    rows = parse_table(FOLDER.read(config, file), location)
    FOLDER.check_rows(config, file, rows)
    return pl.DataFrame(
        [
            instruction_column(rows, "instruction", location).alias("instruction"),
            text_column(rows, "output", location).alias("output"),
        ]
    )


def _with_answers(table: pl.DataFrame, layout: Layout) -> pl.DataFrame:
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
