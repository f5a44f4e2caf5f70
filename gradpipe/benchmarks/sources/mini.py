"""The small benchmarks included in the package, one JSONL file each."""

from importlib import resources
from typing import ClassVar

import polars as pl

from gradpipe.benchmarks.fetch import content_key, join, read_bytes
from gradpipe.benchmarks.items import build_items
from gradpipe.benchmarks.settings import BenchmarkSettings
from gradpipe.benchmarks.sources.source import Source
from gradpipe.benchmarks.table_files import instruction_column, parse_table, text_column
from gradpipe.errors import DataError
from gradpipe.styles import STYLES


class Mini(Source[BenchmarkSettings]):
    """The packaged benchmarks."""

    name = "mini"
    implied_by_name = True
    families: ClassVar = {
        "mini_maths": "math",
        "mini_commonsense": "commonsense",
        "mini_popular": "knowledge",
        "mini_obscure": "knowledge",
    }

    def content(self, config: BenchmarkSettings) -> dict[str, str]:
        """Identify the content of the file that ``read`` would read."""
        return {f"{config.name}.jsonl": content_key(_file(config))}

    def read(self, config: BenchmarkSettings) -> pl.DataFrame:
        """Read all lines of a packaged benchmark as items.

        Each line is {instruction, answer, responses}. Raises DataError when one of the three is
        missing from a line or a response has an unknown style.
        """
        name = _file(config)
        table = parse_table(read_bytes(name), name)
        if not isinstance(table.schema.get("responses"), pl.Struct):
            raise DataError(f"{name} needs `responses` in every line: an object of style and text.")
        texts = table.select(pl.col("responses").struct.unnest())
        unknown = [style for style in texts.columns if style not in STYLES]
        if unknown:
            raise DataError(
                f"{name} has responses of the unknown style {unknown[0]!r}: rename them."
            )
        rows = pl.DataFrame(
            [
                instruction_column(table, "instruction", name),
                text_column(table, "answer", name),
                pl.Series("rationale", [None] * table.height, dtype=pl.String),
                *(text_column(texts, style, name) for style in texts.columns),
            ]
        )
        responses = {(style, "correct"): style for style in STYLES if style in texts.columns}
        return build_items(rows, config.name, self.family(config), responses)


def _file(config: BenchmarkSettings) -> str:
    folder = config.path or str(resources.files("gradpipe.benchmarks") / "data")
    return join(folder, f"{config.name}.jsonl")
