"""The raw reasoning sets, as FLAN publishes them: question, answer and rationale.

The release's six reasoning sets were sampled from these.
"""

from io import BytesIO

import polars as pl

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.items import build_items
from gradpipe.benchmarks.pinned import PinnedFolder
from gradpipe.benchmarks.release import FINAL_ANSWER
from gradpipe.errors import DataError

FOLDER = PinnedFolder(
    section="flan",
    address=(
        "github://google-research:FLAN@e9e4ec6e2701182c7a91af176f705310da541277/flan/v2/cot_data"
    ),
)

FAMILIES = {
    "gsm8k": "math",
    "aqua": "math",
    "ecqa": "commonsense",
    "creak": "commonsense",
    "sensemaking": "commonsense",
    "strategyqa": "commonsense",
}


def read(config: BenchmarkConfig) -> pl.DataFrame:
    """All rows of a FLAN set as items with the styles ``none`` and ``simplified``.

    Raises DataError when the file is missing, altered or not three tab-separated columns.
    """
    file = _file(config)
    table = parse_tsv(FOLDER.read(config, file), FOLDER.location(config, file))
    FOLDER.check_rows(config, file, table)
    table = table.with_columns(
        none="answer",
        simplified=pl.concat_str("rationale", pl.lit(FINAL_ANSWER), "answer"),
    )
    responses = {("none", "correct"): "none", ("simplified", "correct"): "simplified"}
    return build_items(table, config.name, config.family or FAMILIES[config.name], responses)


def content(config: BenchmarkConfig) -> dict[str, str]:
    """What identifies the content of the file that ``read`` would read."""
    return FOLDER.content(config, [_file(config)])


def parse_tsv(data: bytes, name: str) -> pl.DataFrame:
    """Three unnamed tab-separated text columns: instruction, answer, rationale.

    Quotes are ordinary characters: read as quoting they swallow the start of some CREAK questions.
    Raises DataError when ``name`` has another number of columns.
    """
    try:
        table = pl.read_csv(
            BytesIO(data), separator="\t", has_header=False, quote_char=None, infer_schema=False
        )
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{name} is not tab-separated text ({error}): fetch it again.") from error
    if table.width != 3:
        raise DataError(
            f"{name} has {table.width} tab-separated columns instead of question, answer and "
            "rationale: fetch it again."
        )
    return table.select(
        pl.nth(position).alias(name)
        for position, name in enumerate(("instruction", "answer", "rationale"))
    )


def _file(config: BenchmarkConfig) -> str:
    return f"{config.name}_train.tsv"
