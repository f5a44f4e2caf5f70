"""A study's choices applied to one of its benchmarks: which items, which examples."""

import polars as pl

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.read import read_items
from gradpipe.benchmarks.sample import sample_items
from gradpipe.responses.build import build_examples
from gradpipe.studies.study import Study


def study_items(study: Study, benchmark: BenchmarkConfig) -> pl.DataFrame:
    """The items (ITEM_SCHEMA) that the study takes of a benchmark; raises DataError."""
    sample = benchmark.sample or study.sample
    return sample_items(read_items(benchmark), sample, study.sampling, study.seed)


def study_examples(study: Study, benchmark: BenchmarkConfig, items: pl.DataFrame) -> pl.DataFrame:
    """The examples (EXAMPLE_SCHEMA) that the study makes of those items; raises DataError."""
    styles = benchmark.styles or study.styles
    return build_examples(
        items,
        list(styles) if styles else None,
        list(study.relevances),
        study.irrelevant,
        study.seed,
        study.sampling,
    )
