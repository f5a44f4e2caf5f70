"""The report of a finished workspace."""

from pathlib import Path

import polars as pl


def test_the_report_compares_irrelevant_responses_with_the_same_texts(finished: Path) -> None:
    tables = finished / "workspace" / "report" / "tables"
    verdicts = pl.read_csv(tables / "verdicts.csv").filter(pl.col("benchmark") == "mine")
    on_relevance = pl.col("statement").str.contains("irrelevant")
    assert set(verdicts.filter(on_relevance)["pairing"]) == {"response"}
    assert set(verdicts.filter(~on_relevance)["pairing"]) == {"item"}
