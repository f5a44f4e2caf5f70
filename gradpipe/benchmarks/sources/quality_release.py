"""The data of the paper's sequel: responses of high and of low quality, by five measures.

Li et al., "How Instruction and Reasoning Data shape Post-Training" (arXiv 2504.10766), scored
10,000 rows each of WizardLM, Magpie and OpenHermes 2.5, and published the 200 rows with the highest
and the 200 with the lowest score (folders ``_data/10k_version/*``). Their two sets of reasoning
data have responses of DeepSeek-R1: to problems of GSM8K, and to the harder ones of s1.
"""

from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from gradpipe.benchmarks.items import build_items
from gradpipe.benchmarks.pinned import PinnedFolder
from gradpipe.benchmarks.settings import BenchmarkSettings
from gradpipe.benchmarks.sources.source import Source
from gradpipe.benchmarks.table_files import (
    instruction_column,
    join_input,
    parse_table,
    text_column,
)
from gradpipe.styles import QUALITY_STYLES

QUALITY_RELEASE = PinnedFolder(
    section="quality_release",
    address=(
        "github://MingLiiii:Gradient_Unified@f86e985b7b7de720e0178de4afb8d953083da070"
        "/_data/10k_version"
    ),
)
#: The benchmark of the reasoning data, whose low side is GSM8K and whose high side is s1.
REASONING_QUALITY = "reasoning_r1"

_CORPORA = {"wiz": "WizardLM", "mag": "Magpie", "her": "OpenHermes 2.5"}
#: The folder of each measure: instruction-following difficulty by GPT-2 and by Qwen2.5-7B, number
#: of InsTag's tags, difficulty as a language model rates it, and reward.
_MEASURES = {
    "ifd_gpt2": "ifd_gpt2",
    "ifd_qwen7b": "ifd_qwen7b",
    "instag": "instag",
    "difficulty": "diff",
    "reward": "reward",
}


@dataclass(frozen=True)
class QualityFiles:
    """The files of one benchmark, relative to the release's folder, by side."""

    family: str
    low: str
    high: str


def _subset(corpus: str, measure: str) -> QualityFiles:
    stem = f"{_MEASURES[measure]}/{corpus}_10k"
    return QualityFiles("instruction", f"{stem}_lowest_200.json", f"{stem}_highest_200.json")


QUALITY_FILES = {
    **{f"{corpus}_{name}": _subset(corpus, name) for corpus in _CORPORA for name in _MEASURES},
    REASONING_QUALITY: QualityFiles("math", "reasoning/gsm8k_R1.json", "reasoning/s1_R1.json"),
}


class QualityRelease(Source[BenchmarkSettings]):
    """Pairs of subsets of low and high quality; an item has a response of one of the two styles."""

    name = "quality_release"
    families: ClassVar = {name: files.family for name, files in QUALITY_FILES.items()}
    implied_by_name = True

    def content(self, config: BenchmarkSettings) -> dict[str, str]:
        """Identify the content of both files that ``read`` would read."""
        files = QUALITY_FILES[config.name]
        return QUALITY_RELEASE.content(config, [files.low, files.high])

    def read(self, config: BenchmarkSettings) -> pl.DataFrame:
        """Read the rows of both files as items, one of each side in turn.

        A row is one item, with a response of the style ``quality_low`` or ``quality_high`` and no
        gold answer. The files are sorted by score, so the first items are the most extreme ones.
        Raises DataError when a file is missing, altered or malformed.
        """
        files = QUALITY_FILES[config.name]
        sides = zip(QUALITY_STYLES, (files.low, files.high), strict=True)
        rows = [_read_rows(config, file, style) for style, file in sides]
        table = pl.concat(rows, how="diagonal").sort("place", maintain_order=True)
        missing = [pl.lit(None, pl.String).alias(name) for name in ("answer", "rationale")]
        responses = {(style, "correct"): style for style in QUALITY_STYLES}
        return build_items(table.with_columns(missing), config.name, self.family(config), responses)


def _read_rows(config: BenchmarkSettings, file: str, style: str) -> pl.DataFrame:
    """The columns ``instruction``, ``style`` (the response) and ``place`` in the file."""
    location = QUALITY_RELEASE.location(config, file)
    rows = parse_table(QUALITY_RELEASE.read(config, file), location)
    QUALITY_RELEASE.check_rows(config, file, rows)
    texts = pl.DataFrame(
        [
            instruction_column(rows, "instruction", location).alias("instruction"),
            text_column(rows, "output", location).alias(style),
            text_column(rows, "input", location).alias("input")
            if "input" in rows.columns
            else pl.Series("input", [None] * rows.height, dtype=pl.String),
        ]
    )
    return texts.select(
        join_input("instruction", "input").alias("instruction"),
        style,
        pl.int_range(pl.len()).alias("place"),
    )
