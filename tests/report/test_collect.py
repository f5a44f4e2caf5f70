"""The inputs of a report, collected from made-up results of one cell."""

import numpy as np
import polars as pl
import pytest

from gradpipe.claims.paper import PAPER_CLAIMS
from gradpipe.gradients.rows import ROW_SCHEMA
from gradpipe.report.cell_results import CellResults
from gradpipe.report.collect import all_curves, gather
from gradpipe.report.report_data import QUALITY_COUNT_SCHEMA, ReportInputs
from gradpipe.responses.provenance import response_provenance
from gradpipe.statistics.alignment import ALIGNMENT_TABLE_SCHEMA
from gradpipe.statistics.sets.example_sets import EXAMPLE_SET_SCHEMA
from tests.claims.conftest import make_cell, make_table
from tests.responses.written_calls import answer_of, answers_of, judged_of

ITEMS = 16
EXAMPLE = ["item_id", "style", "relevance"]
CURVES = {
    ("none", "correct"): [9.0, 3.0, 8.0, 2.0],
    ("simplified", "correct"): [4.0, 2.0, 4.0, 2.0],
    ("detailed", "correct"): [2.0, 1.5, 1.0, 1.2],
    ("detailed", "irrelevant"): [3.0, 2.5, 1.0, 1.2],
}


def results(failed: int = 0, missing: int = 0) -> CellResults:
    """Results of which ``failed`` detailed responses are wrong and ``missing`` irrelevant absent.

    The values of failed responses are a hundred times as large.
    """
    cell = make_cell(3, ITEMS, CURVES)
    place = pl.col("item_id").str.tail(4).cast(pl.Int64)
    is_failed = (place < failed) & (pl.col("style") == "detailed")
    is_failed &= pl.col("relevance") == "correct"
    statistics = (
        make_table(cell)
        .with_columns(
            pl.col("nuclear_norm").abs() * pl.when(is_failed).then(100.0).otherwise(1.0),
            index=place,
            loss=pl.lit(1.5),
            tokens=pl.lit(40),
            response_tokens=pl.lit(20),
            sigma1_ratio=pl.lit(0.5),
            effective_rank=pl.lit(3.0),
        )
        .filter((pl.col("relevance") == "correct") | (place >= missing))
    )
    examples = statistics.unique(EXAMPLE, maintain_order=True).select(
        *EXAMPLE,
        "model",
        "benchmark",
        "family",
        "index",
        "tokens",
        "response_tokens",
        "loss",
        pl.concat_str(EXAMPLE).alias("key"),
        pl.concat_str(EXAMPLE).alias("example_id"),
        truncated=pl.lit(value=False),
        reason=pl.lit(None, pl.String),
        instruction=pl.lit("?"),
        response=pl.lit("!"),
        donor_item_id=pl.lit(None, pl.String),
        verdict=pl.when(is_failed).then(pl.lit("cut_off")).otherwise(pl.lit(None, pl.String)),
    )
    rows = pl.LazyFrame(schema={"key": pl.String, **ROW_SCHEMA}).drop("row")
    return CellResults(
        model="m",
        benchmark="b",
        examples=examples.lazy().drop("model"),
        statistics=statistics.lazy(),
        alignments=ALIGNMENT_TABLE_SCHEMA.to_frame().lazy(),
        sets=EXAMPLE_SET_SCHEMA.to_frame().lazy(),
        rows_of=lambda keys: rows,
    )


def collected(cell: CellResults, responses: pl.DataFrame | None = None) -> ReportInputs:
    return gather(
        cells=[cell],
        curve_table=all_curves([cell], ["nuclear_norm"]),
        claims=PAPER_CLAIMS,
        twins=[],
        seed=0,
        provenance={},
        quality=QUALITY_COUNT_SCHEMA.to_frame(),
        responses=responses,
    )


def test_extreme_examples_have_the_origins_of_their_responses() -> None:
    cell = results()
    items = cell.examples.collect()["item_id"].unique()
    judged = judged_of(*({"item_id": item, "text": "!", "key": "a"} for item in items))
    written = response_provenance(judged, answers_of(answer_of("a")))
    inputs = collected(cell, written.select(pl.lit("b").alias("benchmark"), pl.all()))
    assert set(inputs.responses["written_by"]) == {"writer"}
    places = ["model", "benchmark", "end", "place"]
    shown = inputs.extremes.join(inputs.origins, on=places, how="inner").filter(
        pl.col("relevance") == "correct"
    )
    assert shown.height
    assert set(shown.select("style", "written_by").unique().rows()) <= {
        ("detailed", "writer"),
        ("simplified", "the source"),
        ("none", "the source"),
    }
    assert collected(cell).origins.is_empty()


def test_verdicts_on_verified_responses_leave_out_those_that_failed() -> None:
    inputs = collected(results(failed=4))
    effects = {
        name: table.filter(claim="1b", level="overall")["effect"].item()
        for name, table in (("every", inputs.verdicts), ("verified", inputs.verified))
    }
    assert effects["verified"] > 3 * effects["every"]
    assert set(inputs.verified["level"]) == {"overall"}
    assert inputs.verified.filter(claim="1b")["items"].item() == ITEMS - 4


def test_if_no_response_failed_there_are_no_other_verdicts() -> None:
    assert collected(results()).verified.is_empty()


def test_relative_differences_are_of_the_items_with_both_responses() -> None:
    cell = results(missing=5)
    table = cell.statistics.collect().filter(
        pl.col("style") == "detailed", pl.col("index") >= 5, pl.col("projection") == "q"
    )
    curves = [
        table.filter(relevance=relevance).group_by("layer").agg(pl.col("nuclear_norm").mean())
        for relevance in ("correct", "irrelevant")
    ]
    correct, irrelevant = (curve.sort("layer")["nuclear_norm"].to_numpy() for curve in curves)
    by_hand = np.mean(np.abs(correct - irrelevant) / np.abs(correct))
    rd = collected(cell).rd.filter(style="detailed", projection="q")
    assert rd["rd"].item() == pytest.approx(by_hand)
