"""From texts to tables: the final answer's own loss is a loss that only the answer carries."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
import torch

from gradpipe.conversations.examples import Pair
from gradpipe.gradients.encoder import Encoder
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import make_protocol
from gradpipe.gradients.rows import explode_matrices
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel
from gradpipe.statistics.reductions import reduce_spectra
from gradpipe.statistics.spans.tables import span_tables

PROTOCOL = make_protocol(spans="final_answer", control_tokens="answer", chat=False, max_length=120)
RESPONSES = {
    "none": ["42", "15", "8"],
    "detailed": [
        "6 × 7, so the answer is 42.",
        "3 × 5 = 15.\n#### 15",
        "I would not know how many of them there are.",
    ],
}
NAMES = ["nuclear_norm", "effective_rank"]


def extracted(model: Any, rows: list[TokenRow]) -> pl.DataFrame:
    loaded = LoadedModel(
        name="tiny",
        fingerprint="",
        model=model,
        tokenizer=None,  # type: ignore[arg-type]
        device="cpu",
    )
    return pl.concat(list(extract_rows(loaded, rows, PROTOCOL))).sort("row")


def labeled(styles: list[str]) -> pl.DataFrame:
    count = len(styles)
    return pl.DataFrame(
        {
            "key": [str(number) for number in range(count)],
            "item_id": [f"i{number % 3}" for number in range(count)],
            "index": [number % 3 for number in range(count)],
            "family": "math",
            "model": "tiny",
            "benchmark": "b",
            "style": styles,
            "relevance": "correct",
        }
    )


def test_the_tables_are_those_of_a_loss_on_the_answer_alone(
    make_model: Callable[..., Any], make_tokenizer: Callable[..., Any]
) -> None:
    model, encoder = make_model("llama", torch.float64), Encoder(make_tokenizer(), PROTOCOL)
    styles = [style for style in RESPONSES for _ in range(3)]
    rows = [
        encoder.encode(Pair("How many are they?", text))
        for texts in RESPONSES.values()
        for text in texts
    ]
    key = pl.col("row").cast(pl.String).alias("key")
    tables = span_tables(labeled(styles), extracted(model, rows).lazy().with_columns(key), NAMES)

    alone = [
        replace(row, mask=span.positions, spans=())
        for row in rows
        for span in row.spans
        if span.name == "final_answer"
    ]
    assert len(alone) == 5
    expected = (
        reduce_spectra(explode_matrices(extracted(model, alone).lazy()), NAMES)
        .with_columns(style=pl.when(pl.col("row") < 3).then(pl.lit("none")).otherwise(pl.lit("d")))
        .collect()
    )
    spans = tables.spans.filter(span="final_answer")
    counts = spans.select("style", "examples", "usable").unique().sort("style").rows()
    assert counts == [("detailed", 2, 3), ("none", 3, 3)]
    for style, short in (("none", "none"), ("detailed", "d")):
        for name in NAMES:
            for projection in "qkvo":
                of = pl.col("style") == short, pl.col("projection") == projection
                mean = expected.filter(*of)[name].mean()
                row = spans.filter(style=style, projection=projection, statistic=name)
                assert row["own_mean"].item() == pytest.approx(mean, rel=1e-5)
    contrast = tables.span_contrasts.filter(
        span="final_answer", style="none", against_style="detailed", projection="q", chain="all",
        statistic="nuclear_norm",
    )  # fmt: skip
    curves = expected.filter(projection="q").group_by("row").agg(pl.col("nuclear_norm").mean())
    values = dict(curves.iter_rows())
    ratio = (values[0] / values[3] * values[1] / values[4]) ** 0.5
    assert contrast["items"].item() == 2
    assert contrast["ratio"].item() == pytest.approx(ratio, rel=1e-5)
