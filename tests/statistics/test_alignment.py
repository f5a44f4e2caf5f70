"""Alignments against loops over made-up gradients, and on gradients of a real, small model."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from gradpipe.conversations.examples import Pair
from gradpipe.gradients.protocol import STANDARD
from gradpipe.gradients.rows import ROW_SCHEMA
from gradpipe.models.layer_types import SOFTMAX_ATTENTION
from gradpipe.report.report_data import ALIGNMENT_SCHEMA
from gradpipe.standalone.example_runner import ExampleRunner
from gradpipe.statistics.alignment import (
    ALIGNMENT_CURVE_COLUMNS,
    ALIGNMENT_TABLE_SCHEMA,
    alignment_curves,
)
from gradpipe.statistics.partition import partition_tables
from gradpipe.styles import STYLES

SCHEMA = pl.Schema({"key": pl.String} | {n: t for n, t in ROW_SCHEMA.items() if n != "row"})
PAIRS = ("q_o", "q_ot", "k_v")
LAYERS, PROJECTIONS, VALUES = 3, "kq", 16
OF_KIND = {"same_layer": PAIRS, "next_layer": PROJECTIONS, "responses": PROJECTIONS}
WHAT = ["style", "relevance", "against_style", "against_relevance"]


def alignment_table(asked: pl.DataFrame, parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    return partition_tables(asked, parts, ["nuclear_norm"], "m").alignments


def examples(*texts: tuple[int, str, str, str]) -> pl.DataFrame:
    """Examples of (item, style, relevance, key)."""
    return pl.DataFrame(
        [
            {
                "key": key,
                "item_id": f"item{item}",
                "benchmark": "b",
                "family": "math",
                "index": item,
                "style": style,
                "relevance": relevance,
                "response": "text that the table leaves out",
            }
            for item, style, relevance, key in texts
        ]
    )


def spectra(keys: list[str], unusable: str = "", zero: str = "") -> pl.DataFrame:
    """Rows with random cosines and sketches; those of ``zero`` have a gradient of zero in layer 1
    of q, so no direction there.
    """
    draw = np.random.default_rng(len(keys))

    def row(key: str) -> dict[str, Any]:
        matrices = [
            {
                "layer": layer,
                "projection": projection,
                "frobenius_norm": 1.0,
                "singular_values": [1.0],
                "next_layer_cosine": draw.uniform(-1, 1) if layer < LAYERS - 1 else None,
                "sketch": None
                if (key, layer, projection) == (zero, 1, "q")
                else draw.normal(size=VALUES).astype(np.float16),
            }
            for layer in range(LAYERS)
            for projection in PROJECTIONS
        ]
        layers = [
            {"layer": layer, **{f"{pair}_cosine": draw.uniform(-1, 1) for pair in PAIRS}}
            for layer in range(LAYERS)
        ]
        usable = key not in unusable
        return {
            "key": key,
            "loss": 1.0,
            "tokens": 5,
            "response_tokens": 2,
            "truncated": False,
            "reason": None if usable else "too long",
            "seconds": 0.1,
            "matrices": matrices if usable else [],
            "layers": layers if usable else [],
        }

    return pl.DataFrame([row(key) for key in keys], schema=SCHEMA)


def twin(asked: pl.DataFrame, rows: pl.DataFrame) -> dict[tuple[Any, ...], float]:
    """(item, kind, pair, responses, layer) → cosine, by loops and by definition."""
    by_key = {row["key"]: row for row in rows.to_dicts() if row["reason"] is None}
    found: dict[tuple[Any, ...], float] = {}
    items: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for example in asked.to_dicts():
        if example["key"] not in by_key:
            continue
        items[example["item_id"]].append(example)
        row, of = by_key[example["key"]], (example["style"], example["relevance"], None, None)
        for layer in row["layers"]:
            for pair in PAIRS:
                place = (example["item_id"], "same_layer", pair, *of, layer["layer"])
                found[place] = layer[f"{pair}_cosine"]
        for matrix in row["matrices"]:
            if matrix["next_layer_cosine"] is not None:
                place = (example["item_id"], "next_layer", matrix["projection"], *of)
                found[*place, matrix["layer"]] = matrix["next_layer_cosine"]
    for item, of_item in items.items():
        ordered = sorted(of_item, key=lambda e: (STYLES.index(e["style"]), e["relevance"]))
        for one, other in combinations(ordered, 2):
            both = one["relevance"], other["relevance"]
            same = one["style"] == other["style"]
            if both != ("correct", "irrelevant" if same else "correct"):
                continue
            matrices = zip(
                by_key[one["key"]]["matrices"], by_key[other["key"]]["matrices"], strict=True
            )
            for left, right in matrices:
                if left["sketch"] is None or right["sketch"] is None:
                    continue
                a, b = (np.asarray(m["sketch"], dtype=np.float64) for m in (left, right))
                of = (one["style"], both[0], other["style"], both[1])
                place = (item, "responses", left["projection"], *of, left["layer"])
                found[place] = float(a @ b / np.sqrt((a @ a) * (b @ b)))
    return found


ASKED = examples(
    (1, "none", "correct", "a"),
    (1, "detailed", "correct", "b"),
    (1, "detailed", "irrelevant", "c"),
    (1, "none", "irrelevant", "d"),
    (0, "simplified", "correct", "e"),
    (0, "none", "correct", "f"),
    (0, "detailed", "correct", "g"),
    (2, "detailed", "irrelevant", "h"),
    (3, "length_500", "correct", "i"),
    (3, "length_100", "correct", "j"),
)


@pytest.mark.parametrize("chunk", [1, 3, 20])
def test_the_table_equals_a_slow_twin_however_the_spectra_come(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradpipe.statistics.alignment.PAIRS_AT_ONCE", 4)
    monkeypatch.setattr("gradpipe.statistics.partition.ROWS_AT_ONCE", 2)
    rows = spectra(list("jihgfedcbaz"), unusable="d", zero="b")
    parts = (rows.slice(start, chunk) for start in range(0, rows.height, chunk))
    table = alignment_table(ASKED, parts)
    places = ["item_id", "kind", "pair", *WHAT, "layer"]
    found = {row[:-1]: row[-1] for row in table.select(*places, "cosine").rows()}
    expected = twin(ASKED, rows)
    assert table.height == len(found)
    assert found.keys() == expected.keys()
    for place, cosine in expected.items():
        assert found[place] == pytest.approx(cosine, abs=1e-6), place
    pairs = table.filter(kind="responses").select("item_id", *WHAT).unique(maintain_order=True)
    assert set(pairs.rows()) == {
        ("item0", "none", "correct", "simplified", "correct"),
        ("item0", "none", "correct", "detailed", "correct"),
        ("item0", "simplified", "correct", "detailed", "correct"),
        ("item1", "detailed", "correct", "detailed", "irrelevant"),
        ("item1", "none", "correct", "detailed", "correct"),
        ("item3", "length_100", "correct", "length_500", "correct"),
    }


def test_the_table_has_its_columns_sorted_and_typed() -> None:
    table = alignment_table(ASKED, [spectra(list("abcdefghij"))])
    assert table.schema == ALIGNMENT_TABLE_SCHEMA
    assert table.columns == [
        "model",
        "item_id",
        "benchmark",
        "family",
        "index",
        *WHAT,
        "kind",
        "pair",
        "layer",
        "cosine",
    ]
    assert table.equals(table.sort("index", "item_id", "kind", "pair", *WHAT, "layer"))
    assert table["model"].unique().to_list() == ["m"]
    assert table["cosine"].is_between(-1, 1).all()


def test_a_gradient_of_zero_leaves_out_its_own_layer_only() -> None:
    asked = examples((0, "none", "correct", "a"), (0, "detailed", "correct", "b"))
    table = alignment_table(asked, [spectra(["a", "b"], zero="b")]).filter(kind="responses")
    assert table.select("pair", "layer").rows() == [
        *(("k", layer) for layer in range(LAYERS)),
        ("q", 0),
        ("q", 2),
    ]


def test_two_responses_that_are_the_same_text_point_the_same_way() -> None:
    asked = examples((0, "none", "correct", "a"), (0, "detailed", "correct", "a"))
    table = alignment_table(asked, [spectra(["a"])]).filter(kind="responses")
    assert table.height == LAYERS * len(PROJECTIONS)
    assert table["cosine"].to_list() == pytest.approx([1.0] * table.height, abs=1e-6)


def test_items_with_the_same_responses_are_not_paired_with_each_other() -> None:
    asked = examples(
        (0, "none", "correct", "a"),
        (1, "none", "correct", "a"),
        (1, "detailed", "correct", "b"),
    )
    table = alignment_table(asked, [spectra(["a", "b"])])
    assert table.filter(kind="responses")["item_id"].unique().to_list() == ["item1"]
    assert table.filter(kind="next_layer")["item_id"].n_unique() == 2


def test_nothing_usable_makes_an_empty_table_of_the_same_types() -> None:
    for parts in ([], [spectra(["a"], unusable="a")], [spectra(["z"])]):
        table = alignment_table(ASKED, parts)
        assert table.height == 0
        assert table.schema == ALIGNMENT_TABLE_SCHEMA
        assert alignment_curves(table.lazy()).schema == ALIGNMENT_SCHEMA


def test_curves_are_means_over_the_examples_that_have_the_cosine() -> None:
    rows = spectra(list("abcdefghij"), zero="a")
    table = alignment_table(ASKED, [rows])
    found = alignment_curves(table.lazy())
    assert found.schema == ALIGNMENT_SCHEMA
    assert found.equals(found.sort(*ALIGNMENT_CURVE_COLUMNS, "layer", nulls_last=False))
    values: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for (_, *place), cosine in twin(ASKED, rows).items():
        values[tuple(place)].append(cosine)
    curves = {
        row[:-3]: row[-3:]
        for row in found.select("kind", "pair", *WHAT, "layer", "mean", "sd", "examples").rows()
    }
    assert curves.keys() == values.keys()
    for place, cosines in values.items():
        mean, sd, count = curves[place]
        assert mean == pytest.approx(np.mean(cosines), abs=1e-6)
        assert sd == (pytest.approx(np.std(cosines, ddof=1), abs=1e-6) if count > 1 else None)
        assert count == len(cosines)
    of_styles = found.filter(kind="responses", pair="q", style="none", against_style="detailed")
    assert of_styles["examples"].to_list() == [2, 1, 2]


@pytest.mark.parametrize("hole", [None, np.nan])
def test_a_missing_cosine_leaves_its_example_out_at_that_layer_only(hole: float | None) -> None:
    asked = examples((0, "none", "correct", "a"), (1, "none", "correct", "b"))
    table = alignment_table(asked, [spectra(["a", "b"])]).filter(pair="k_v")
    at = (pl.col("item_id") == "item0") & (pl.col("layer") == 1)
    holed = table.with_columns(cosine=pl.when(at).then(hole).otherwise("cosine"))
    assert alignment_curves(holed.lazy())["examples"].to_list() == [2, 1, 2]


def test_models_and_benchmarks_have_curves_of_their_own() -> None:
    table = alignment_table(ASKED, [spectra(list("abcdefghij"))])
    others = [
        table,
        table.with_columns(model=pl.lit("n")),
        table.with_columns(benchmark=pl.lit("c")),
    ]
    found = alignment_curves(pl.concat(others).lazy())
    assert found.height == 3 * alignment_curves(table.lazy()).height


def test_the_rows_that_an_extraction_gives_are_aligned(small_model: Path) -> None:
    question = "What is two and two?"
    responses = {"a": "Four.", "b": "Two and two is four.", "c": "Blue, I would say."}
    pairs = [Pair(question, response) for response in responses.values()]
    runner = ExampleRunner(str(small_model), STANDARD)
    frames = list(runner.spectra(runner.encode(pairs)))
    keyed = [
        frame.with_columns(key=pl.col("row").replace_strict(dict(enumerate(responses)))).drop("row")
        for frame in frames
    ]
    asked = examples(
        (0, "none", "correct", "a"),
        (0, "detailed", "correct", "b"),
        (0, "none", "irrelevant", "c"),
        (0, "simplified", "correct", "a"),
    )
    table = alignment_table(asked, keyed)
    assert table.group_by("kind").len().sort("kind").rows() == [
        ("next_layer", 4 * 2 * 4),
        # Q with O, and with Oᵀ; keys and values are of the same shape too.
        ("responses", 4 * 3 * 4),
        ("same_layer", 4 * 3 * 3),
    ]
    same = table.filter(kind="responses", style="none", against_style="simplified")
    assert same["cosine"].to_list() == pytest.approx([1.0] * 12, abs=1e-6)
    other = table.filter(kind="responses", style="none", against_style="detailed")
    assert other["cosine"].abs().max() < 0.999


def test_pairs_of_a_model_that_mixes_layers_are_named_by_type() -> None:
    asked = ASKED.filter(pl.col("key").is_in(["a", "b"]))
    rows = spectra(asked["key"].to_list())
    types = [SOFTMAX_ATTENTION, "linear_attention", "linear_attention"]
    typed = rows.with_columns(
        pl.col("matrices").list.eval(
            pl.element().struct.with_fields(
                layer_type=pl.element().struct.field("layer").replace_strict(dict(enumerate(types)))
            )
        )
    )
    found, plain = alignment_table(asked, [typed]), alignment_table(asked, [rows])
    assert found.height < plain.height
    places = found.select("kind", "pair", "layer").unique().sort(pl.all()).rows()
    other = {name: f"{name} linear_attention" for name in ("q", "k", *PAIRS)}
    assert places == sorted(
        [
            (kind, name, 0)
            for kind, names in OF_KIND.items()
            for name in names
            if kind != "next_layer"
        ]
        # Layers 0 and 1 are of two types, so only layer 1 has a next one.
        + [("next_layer", other[name], 1) for name in "qk"]
        + [
            (kind, other[name], layer)
            for kind, names in OF_KIND.items()
            for name in names
            for layer in (1, 2)
            if kind != "next_layer"
        ]
    )
    kept = found.with_columns(pl.col("pair").str.strip_suffix(" linear_attention"))
    same = plain.join(kept, on=plain.columns, how="semi", nulls_equal=True)
    assert same.height == found.height
