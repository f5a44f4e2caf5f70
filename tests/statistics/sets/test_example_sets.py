"""Sets of examples: against dense gradients of a small model, and against loops over sketches."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray

from gradpipe.conversations.examples import Pair
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import STANDARD
from gradpipe.gradients.rows import explode_matrices
from gradpipe.models.fingerprint import pin
from gradpipe.models.load import load_model
from gradpipe.models.source import resolve_model
from gradpipe.standalone.model_encoder import encoder_of_model
from gradpipe.statistics.sets import example_sets as module
from gradpipe.statistics.sets.diversity import vendi_score
from gradpipe.statistics.sets.example_sets import (
    EXAMPLE_SET_SCHEMA,
    ITEM_BLOCKS,
    example_sets,
)
from gradpipe.statistics.sets.tables import (
    SET_CONSENSUS_SCHEMA,
    SET_COSINE_SCHEMA,
    SET_DIVERSITY_SCHEMA,
    set_tables,
)
from gradpipe.statistics.table import ALL_PROJECTIONS
from tests.gradients.twins import naive, projection_gradients

Array = NDArray[np.float64]
LAYERS, WIDTH = 3, 8


def examples(keys: list[str], **labels: str) -> pl.DataFrame:
    named = {"benchmark": "b", "family": "math", "style": "none", "relevance": "correct"} | labels
    return pl.DataFrame({"key": keys, "index": range(len(keys))}).with_columns(
        *(pl.lit(value).alias(name) for name, value in named.items()),
        item_id=pl.format("item {}", "index"),
    )


def sketches_of(gradients: dict[str, Array], projection: str = "q") -> pl.DataFrame:
    """Sketches of norm one and the norms of gradients [LAYERS, WIDTH], which are kept exactly."""
    rows = [
        (key, layer, projection, float(np.linalg.norm(vector)), vector / np.linalg.norm(vector))
        for key, layers in gradients.items()
        for layer, vector in enumerate(layers)
        if vector.any()
    ]
    schema = {"key": pl.String, "layer": pl.Int64, "projection": pl.String}
    schema |= {"frobenius_norm": pl.Float64, "sketch": pl.List(pl.Float32)}
    return pl.DataFrame(rows, schema=schema, orient="row")


def random_gradients(keys: list[str], seed: int = 0) -> dict[str, Array]:
    draw = np.random.default_rng(seed)
    return {key: draw.lognormal() * draw.normal(size=(LAYERS, WIDTH)) for key in keys}


def row_of(sets: pl.DataFrame, **labels: str) -> dict[str, Any]:
    (row,) = sets.filter(**labels).rows(named=True)
    return row


def diversity_of(row: dict[str, Any]) -> float:
    """The diversity of the whole set, before the correction for sketches."""
    whole = row["sizes"][-1]
    return float(np.exp(whole["ln_diversity"] + (whole["sketch_bias"] or 0)))


def test_a_set_is_measured_on_gradients_of_all_layers_by_projection_and_together() -> None:
    keys = [f"key {number}" for number in range(12)]
    q, v = random_gradients(keys, 1), random_gradients(keys, 2)
    sketches = pl.concat([sketches_of(q, "q"), sketches_of(v, "v")])
    sets = example_sets(examples(keys), sketches.sample(fraction=1, shuffle=True, seed=1), "m")
    vectors = {
        name: np.stack([part[k].ravel() for k in keys]) for name, part in (("q", q), ("v", v))
    }
    vectors[ALL_PROJECTIONS] = np.hstack([vectors["q"], vectors["v"]])
    assert sets["projection"].to_list() == list(vectors)
    for projection, rows in vectors.items():
        row = row_of(sets, projection=projection)
        assert diversity_of(row) == pytest.approx(vendi_score(rows), rel=1e-5)
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        cosines = (unit @ unit.T)[np.triu_indices(12, 1)]
        assert row["mean_cosine"] == pytest.approx(cosines.mean(), abs=1e-6)
        assert (row["model"], row["examples"]) == ("m", 12)


def test_sums_are_those_of_loops_over_the_items() -> None:
    keys = [f"key {number}" for number in range(23)]
    gradients = random_gradients(keys)
    row = row_of(example_sets(examples(keys), sketches_of(gradients), "m"), projection="q")
    expected = np.zeros((LAYERS, ITEM_BLOCKS, WIDTH))
    for index, key in enumerate(keys):
        expected[:, index % ITEM_BLOCKS] += gradients[key]
    for layer in row["sums"]:
        values = np.reshape(layer["values"], (ITEM_BLOCKS, WIDTH))
        np.testing.assert_allclose(values, expected[layer["layer"]], rtol=1e-4, atol=1e-5)
    assert row["block_examples"] == [3, 3, 3, 2, 2, 2, 2, 2, 2, 2]


def test_each_style_and_relevance_is_a_set_and_pairs_that_share_a_key_count_twice() -> None:
    keys = ["a", "b", "c", "d", "e"]
    asked = pl.concat(
        [
            examples(keys),
            examples(["a", "a"], style="detailed"),
            examples(["b", "missing"], relevance="irrelevant"),
        ]
    )
    sets = example_sets(asked, sketches_of(random_gradients(keys)), "m").filter(projection="q")
    assert sets.select("style", "relevance", "examples").rows() == [
        ("detailed", "correct", 2),
        ("none", "correct", 5),
        ("none", "irrelevant", 1),
    ]
    assert diversity_of(row_of(sets, style="detailed")) == pytest.approx(1, abs=1e-6)
    alone = row_of(sets, relevance="irrelevant")
    assert (alone["sizes"], alone["mean_cosine"]) == ([], None)


def test_a_gradient_of_zero_has_no_direction_but_counts_in_the_mean() -> None:
    keys = ["a", "b", "c", "d"]
    q, v = random_gradients(keys, 1), random_gradients(keys, 2)
    q["c"] = np.zeros((LAYERS, WIDTH))
    q["d"][1] = 0
    sketches = pl.concat([sketches_of(q, "q"), sketches_of(v, "v")])
    row = row_of(example_sets(examples(keys), sketches, "m"), projection="q")
    assert (row["examples"], sum(row["block_examples"])) == (3, 4)
    assert diversity_of(row) == pytest.approx(
        vendi_score(np.stack([q[key].ravel() for key in keys])), rel=1e-5
    )


def test_of_a_large_set_some_examples_are_compared_and_all_are_summed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_COMPARED", 10)
    keys = [f"key {number}" for number in range(40)]
    row = row_of(
        example_sets(examples(keys), sketches_of(random_gradients(keys)), "m"), projection="q"
    )
    assert row["sizes"][-1]["size"] == 10
    assert (row["examples"], sum(row["block_examples"])) == (40, 40)


def test_nothing_is_measured_without_sketches() -> None:
    none = sketches_of({})
    for asked in (examples(["a"]), examples(["a"]).clear()):
        sets = example_sets(asked, none, "m")
        assert sets.is_empty()
        assert sets.schema == EXAMPLE_SET_SCHEMA
    tables = set_tables([example_sets(examples(["a"]), none, "m")])
    schemas = (SET_DIVERSITY_SCHEMA, SET_CONSENSUS_SCHEMA, SET_COSINE_SCHEMA)
    for found in (tables, set_tables([])):
        assert tuple(table.schema for table in found) == schemas


def test_tables_of_a_report_have_intervals_around_what_was_measured() -> None:
    keys = [f"key {number}" for number in range(20)]
    gradients = {key: value + 1 for key, value in random_gradients(keys).items()}
    sets = example_sets(examples(keys), sketches_of(gradients), "m")
    tables = set_tables([sets])
    row = tables.diversity.filter(projection="q", size=16).row(0, named=True)
    (size,) = (size for size in row_of(sets, projection="q")["sizes"] if size["size"] == 16)
    assert row["diversity"] == pytest.approx(np.exp(size["ln_diversity"]))
    assert np.log(row["diversity_high"] / row["diversity"]) == pytest.approx(
        2.093 * size["error"], 1e-3
    )
    assert row["diversity_low"] < row["diversity"]
    agreed = tables.consensus.filter(projection="q").row(0, named=True)
    assert agreed["mean_cosine_low"] < agreed["mean_cosine"] < agreed["mean_cosine_high"]
    assert agreed["mean_share"] is not None
    noise = set_tables([example_sets(examples(keys), sketches_of(random_gradients(keys)), "m")])
    assert noise.consensus["mean_share"].null_count() == 2


@pytest.fixture(scope="module")
def dense(small_model: Path) -> tuple[pl.DataFrame, dict[str, Array]]:
    """The sets of 16 texts as they are extracted, and their gradients by autograd in float64."""
    words = ["one", "two", "a red house", "the sea", "seven", "no", "why not", "it rains"]
    pairs = [Pair(f"Say {w}.", f"{w} {tail}") for w in words for tail in ("now", "and again")]
    source = pin(resolve_model(str(small_model)))
    rows = encoder_of_model(str(small_model), source, STANDARD).encode_all(
        pairs, list("abcdefghijklmnop")
    )
    loaded = load_model(str(small_model))
    extracted = pl.concat(extract_rows(loaded, rows, STANDARD))
    matrices = explode_matrices(extracted.lazy()).collect()
    keyed = matrices.with_columns(key=pl.format("{}", "row")).drop_nulls("sketch")
    sets = example_sets(examples([str(number) for number in range(len(rows))]), keyed, "m")
    model: Any = load_model(str(small_model)).model.double()
    gradients: dict[str, list[Array]] = {name: [] for name in "qkvo"}
    for row in rows:
        naive(model, row, ())
        for name, vectors in gradients.items():
            layers = [projection_gradients(model, layer)[name].flatten() for layer in range(LAYERS)]
            vectors.append(torch.cat(layers).numpy())
    exact = {name: np.stack(vectors) for name, vectors in gradients.items()}
    return sets, exact | {ALL_PROJECTIONS: np.hstack(list(exact.values()))}


@pytest.mark.parametrize("projection", ["q", "k", "v", "o", ALL_PROJECTIONS])
def test_diversity_and_agreement_are_those_of_dense_gradients(
    dense: tuple[pl.DataFrame, dict[str, Array]], projection: str
) -> None:
    """The sketches' own error is known: of k and v, whose gradients are small, there is none."""
    sets, exact = dense
    row, vectors = row_of(sets, projection=projection), exact[projection]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    bound = 0.005 if projection in "kv" else 0.03
    assert diversity_of(row) == pytest.approx(vendi_score(vectors), rel=bound)
    assert row["mean_cosine"] == pytest.approx(cosines.mean(), abs=bound)
    if projection not in "kv":
        assert 0.001 < row["sketch_error"] < 0.06
