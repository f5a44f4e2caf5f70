"""FLAN's published reasoning sets: question, answer and rationale.

The release's six reasoning sets were sampled from these. Its ``no_cot`` and ``with_cot`` texts are
the styles ``none`` and ``simplified`` here. Read with ``quotes: csv``, all 500 rows of each set are
identical to the release's, question and both texts, except two of StrategyQA: one question occurs
twice, and the release ends its rationale twice. Read as written (``plain``, the default), 426 of
CREAK's 500 rows and 496 of StrategyQA's are identical.
"""

import csv
from io import BytesIO, StringIO
from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from gradpipe.benchmarks.items import build_items
from gradpipe.benchmarks.pinned import PinnedFolder
from gradpipe.benchmarks.settings import LineBreakSettings
from gradpipe.benchmarks.sources.source import Source
from gradpipe.benchmarks.texts import FINAL_ANSWER, with_line_breaks
from gradpipe.errors import DataError
from gradpipe.untrusted.limits import refuse_archive

COT_DATA = PinnedFolder(
    section="flan",
    address=(
        "github://google-research:FLAN@e9e4ec6e2701182c7a91af176f705310da541277/flan/v2/cot_data"
    ),
)


class FlanSettings(LineBreakSettings):
    """The settings of a FLAN set."""

    quotes: Literal["plain", "csv"] = Field(
        default="plain",
        description="How FLAN's files are read: ``plain``, or ``csv`` as the paper's authors did.",
    )


class Flan(Source[FlanSettings]):
    """FLAN's six chain-of-thought sets."""

    name = "flan"
    settings = FlanSettings
    families: ClassVar = {
        "gsm8k": "math",
        "aqua": "math",
        "ecqa": "commonsense",
        "creak": "commonsense",
        "sensemaking": "commonsense",
        "strategyqa": "commonsense",
    }

    def content(self, config: FlanSettings) -> dict[str, str]:
        """Identify the content of the file that ``read`` would read, and how it is read."""
        quotes = {"quotes": "csv"} if config.quotes == "csv" else {}
        breaks = {"line_breaks": "real"} if config.line_breaks == "real" else {}
        return COT_DATA.content(config, [_file(config)]) | quotes | breaks

    def read(self, config: FlanSettings) -> pl.DataFrame:
        """Read all rows of a FLAN set as items with the styles ``none`` and ``simplified``.

        Line breaks inside a field are the file's literal backslash-n unless ``line_breaks: real``
        is set. Raises DataError when the file is missing, altered or does not have three
        tab-separated columns.
        """
        file = _file(config)
        parse = parse_quoted_tsv if config.quotes == "csv" else parse_tsv
        table = parse(COT_DATA.read(config, file), COT_DATA.location(config, file))
        COT_DATA.check_rows(config, file, table)
        if config.line_breaks == "real":
            # ``escaped`` needs no conversion: no field in the files contains a line break.
            table = table.with_columns(with_line_breaks(pl.col("instruction", "rationale"), "real"))
        table = table.with_columns(
            none="answer",
            simplified=pl.concat_str("rationale", pl.lit(FINAL_ANSWER), "answer"),
        )
        responses = {("none", "correct"): "none", ("simplified", "correct"): "simplified"}
        return build_items(table, config.name, self.family(config), responses)


def parse_tsv(data: bytes, name: str) -> pl.DataFrame:
    """Parse three unnamed tab-separated text columns: instruction, answer, rationale.

    Quotes are ordinary characters: quote handling would drop the start of some CREAK questions.
    Raises DataError when ``name`` has a different number of columns.
    """
    refuse_archive(data, name)
    try:
        table = pl.read_csv(
            BytesIO(data), separator="\t", has_header=False, quote_char=None, infer_schema=False
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(f"{name} is not tab-separated text ({error}): fetch it again.") from error
    return _named(table, name)


def parse_quoted_tsv(data: bytes, name: str) -> pl.DataFrame:
    """Parse the same columns with quote handling, as the paper's authors read the files.

    A field that starts with a quote ends at the next quote, both quotes are dropped, and the rest
    of the field follows: ``"A b." Is it so?`` becomes ``A b. Is it so?``. Raises DataError like
    ``parse_tsv``.
    """
    try:
        # Polars rejects text after a closing quote; the standard library's reader keeps it.
        rows = list(csv.reader(StringIO(data.decode("utf-8"), newline=""), delimiter="\t"))
        table = pl.DataFrame(rows, orient="row", schema=_text_schema(rows))
    except (csv.Error, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{name} is not tab-separated text ({error}): fetch it again.") from error
    return _named(table, name)


def _text_schema(rows: list[list[str]]) -> dict[str, type[pl.String]]:
    widths = {len(row) for row in rows}
    if len(widths) != 1:
        raise ValueError(f"its lines have {' or '.join(map(str, sorted(widths)))} columns")
    return {str(column): pl.String for column in range(widths.pop())}


def _named(table: pl.DataFrame, name: str) -> pl.DataFrame:
    columns = ("instruction", "answer", "rationale")
    if table.width != len(columns):
        raise DataError(
            f"{name} has {table.width} tab-separated columns instead of question, answer and "
            "rationale: fetch it again."
        )
    return table.rename(dict(zip(table.columns, columns, strict=True)))


def _file(config: FlanSettings) -> str:
    return f"{config.name}_train.tsv"
