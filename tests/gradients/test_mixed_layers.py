"""A model that mixes types of attention: right gradients, gaps, and a curve for each type."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from gradpipe.gradients.checks import check_spectra
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import STANDARD
from gradpipe.gradients.rows import explode_matrices
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel
from gradpipe.standalone.spectra_table import spectra_table
from gradpipe.statistics.curves import curves
from gradpipe.statistics.differences import mad
from gradpipe.statistics.partition import partition_tables

MakeRows = Callable[..., list[TokenRow]]
LINEAR, FULL = "linear_attention", "full_attention"
SIZES: dict[str, Any] = {
    **{"vocab_size": 300, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 5},
    **{"num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 8, "pad_token_id": 0},
    **{"linear_num_key_heads": 2, "linear_num_value_heads": 2},
    **{"linear_key_head_dim": 8, "linear_value_head_dim": 8},
}
#: The layers of each family: those of a gated DeltaNet have q, k, v and o only in the first.
TYPES = {
    "olmo_hybrid": [LINEAR, FULL, LINEAR, FULL, LINEAR],
    "qwen3_5_text": [LINEAR, FULL, LINEAR, LINEAR, FULL],
}


def make(family: str, checkpointing: bool = False) -> LoadedModel:
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **SIZES, layer_types=TYPES[family])
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return LoadedModel(
        name="tiny",
        fingerprint="",
        model=model.double().eval(),
        tokenizer=None,  # type: ignore[arg-type]
        device="cpu",
        checkpointing=checkpointing,
    )


def extract(loaded: LoadedModel, rows: list[TokenRow]) -> pl.DataFrame:
    return pl.concat(extract_rows(loaded, rows, STANDARD)).sort("row")


def norms_by_autograd(model: Any, row: TokenRow) -> dict[tuple[int, str], float]:
    model.requires_grad_(True)
    model.zero_grad()
    positions = torch.tensor(row.positions)
    logits = model(input_ids=torch.tensor([row.ids])).logits[0]
    targets = torch.tensor(row.ids)[positions]
    torch.nn.functional.cross_entropy(logits[positions - 1], targets).backward()
    return {
        (number, name): float(weight.grad.norm())
        for number, layer in enumerate(model.model.layers)
        for name in "qkvo"
        for path, weight in layer.named_parameters()
        if path.endswith(f"attn.{name}_proj.weight")
    }


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", TYPES)
def test_the_layers_that_have_projections_have_the_gradients_of_full_autograd(
    family: str, checkpointing: bool, make_rows: MakeRows
) -> None:
    loaded, rows = make(family, checkpointing), make_rows((20, 9), (19, 4))
    table = extract(loaded, rows)
    matrices = explode_matrices(table.lazy()).collect()
    for number, row in enumerate(rows):
        expected = norms_by_autograd(loaded.model, row)
        found = matrices.filter(row=number)
        keys = list(zip(found["layer"], found["projection"], strict=True))
        norms = dict(zip(keys, found["frobenius_norm"], strict=True))
        assert norms.keys() == expected.keys()
        # The recurrence is float32 inside.
        assert norms == pytest.approx(expected, rel=1e-4)
    types = dict(matrices.select("layer", "layer_type").unique().rows())
    full = {n for n, kind in enumerate(TYPES[family]) if kind == FULL}
    everywhere = range(len(TYPES[family])) if family == "olmo_hybrid" else full
    assert types == {n: "attention" if n in full else LINEAR for n in everywhere}


@pytest.mark.parametrize("family", TYPES)
def test_each_type_has_its_own_curve_and_mad_over_its_own_layers(
    family: str, make_rows: MakeRows
) -> None:
    table = spectra_table(extract(make(family), make_rows((20, 9), (19, 4))))
    found = curves(table, ["nuclear_norm"])
    of_type = {"": "attention"} | ({f" {LINEAR}": LINEAR} if family == "olmo_hybrid" else {})
    assert set(found["projection"]) == {name + kind for name in "qkvo" for kind in of_type}
    mads = mad(found).filter(segment="all")
    for ending, kind in of_type.items():
        own = table.filter(projection="q", layer_type=kind)
        means = own.group_by("layer").agg(pl.col("nuclear_norm").mean()).sort("layer")
        curve = found.filter(projection=f"q{ending}")
        assert curve["layer"].to_list() == means["layer"].to_list()
        np.testing.assert_allclose(curve["mean"], means["nuclear_norm"], rtol=1e-12)
        expected = means["nuclear_norm"].diff().abs().mean()
        assert mads.filter(projection=f"q{ending}")["mad"].to_list() == [pytest.approx(expected)]


def test_rows_of_earlier_versions_get_the_types_of_newer_ones(make_rows: MakeRows) -> None:
    rows = extract(make("olmo_hybrid"), make_rows((20, 9), (19, 4)))
    stored = rows.with_columns(key=pl.col("row").cast(pl.String)).drop("row")
    no_type = pl.element().struct.with_fields(pl.lit(None, pl.String).alias("layer_type"))
    old = stored.with_columns(pl.col("matrices").list.eval(no_type))
    examples = pl.DataFrame(
        {"key": ["0", "1"], "item_id": ["0", "1"], "benchmark": "b", "family": "math"}
        | {"index": [0, 1], "style": "none", "relevance": "correct"}
    )

    def projections(*parts: pl.DataFrame) -> set[str]:
        table = partition_tables(examples, parts, ["nuclear_norm"], "m").statistics
        assert table.height == 2 * 5 * 4
        return set(table["projection"])

    typed = {name + kind for name in "qkvo" for kind in ("", f" {LINEAR}")}
    assert projections(stored) == projections(old.head(1), stored.tail(1)) == typed
    assert projections(old) == set("qkvo")


def test_a_gap_of_a_mixed_model_is_complete_and_a_row_without_a_layer_is_not(
    make_rows: MakeRows,
) -> None:
    rows = extract(make("qwen3_5_text"), make_rows((20, 9), (19, 4)))
    rows = rows.with_columns(key=pl.col("row").cast(pl.String))

    def complete(spectra: pl.DataFrame, projections: str = "qkvo") -> bool:
        checks = check_spectra(rows.drop("matrices"), [spectra], list(projections))
        return next(check for check in checks if check.name == "every_layer_and_projection").passed

    assert complete(rows)
    assert not complete(rows, "qkvo" + "u")
    last = pl.when(pl.col("row") == 1).then(pl.col("matrices").list.head(4))
    assert not complete(rows.with_columns(last.otherwise("matrices").alias("matrices")))
    # Rows of earlier versions list no gaps; only a model of several types may then have some.
    old = rows.with_columns(pl.lit(None, rows.schema["gaps"]).alias("gaps"))
    assert complete(old)
    no_type = pl.element().struct.with_fields(pl.lit(None, pl.String).alias("layer_type"))
    assert not complete(old.with_columns(pl.col("matrices").list.eval(no_type)))
    assert complete(rows.with_columns(pl.col("matrices").list.eval(no_type)))
