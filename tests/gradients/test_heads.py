"""A head's part of a gradient is a slice of what full autograd gives."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from gradpipe.errors import DataError, ModelError
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import STANDARD, make_protocol
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.heads import count_heads
from gradpipe.models.load import LoadedModel
from gradpipe.models.projections import find_projections
from gradpipe.standalone.part_tables import expert_table, head_table
from gradpipe.standalone.spectra_table import spectra_table
from tests.gradients.twins import projection_gradients

#: By family: the heads of Q and O, and those of K and V.
FAMILIES = {
    "llama": (4, 2),
    "qwen3": (4, 2),
    "gemma": (4, 1),
    "gpt2": (4, 4),
    "gpt_neox": (4, 4),
    "phi3": (4, 2),
    "falcon": (4, 1),
    "falcon grouped": (4, 2),
    "gpt_bigcode": (4, 1),
    "codegen": (8, 8),
    "bloom": (4, 4),
}


def extract(model: Any, rows: list[TokenRow], **settings: Any) -> pl.DataFrame:
    loaded = LoadedModel(name="tiny", fingerprint="", model=model, tokenizer=None, device="cpu")  # type: ignore[arg-type]
    return spectra_table(pl.concat(list(extract_rows(loaded, rows, make_protocol(**settings)))))


def slices(gradient: Tensor, role: str, heads: int) -> list[np.ndarray]:
    """The singular values of each head's rows, or for O of its columns."""
    parts = gradient.chunk(heads, dim=1 if role == "o" else 0)
    return [torch.linalg.svdvals(part.double()).numpy() for part in parts]


@pytest.mark.parametrize("family", FAMILIES)
def test_each_head_has_the_spectrum_of_its_own_rows_or_columns(
    family: str, make_model: Callable[..., Any], make_rows: Callable[..., list[TokenRow]]
) -> None:
    model, rows = make_model(family, torch.float64), make_rows((33, 20), (30, 2), (31, 30))
    table = extract(model, rows, heads=True)
    found = head_table(table)
    heads, groups = FAMILIES[family]
    for number, row in enumerate(rows):
        model.requires_grad_(True)
        model.zero_grad()
        positions = torch.tensor(row.positions)
        logits = model(input_ids=torch.tensor([row.ids])).logits[0]
        targets = torch.tensor(row.ids)[positions]
        torch.nn.functional.cross_entropy(logits[positions - 1], targets).backward()
        for layer in range(model.config.num_hidden_layers):
            gradients = projection_gradients(model, layer)
            for role in ("q", "k", "v", "o"):
                parts = slices(gradients[role], role, groups if role in ("k", "v") else heads)
                own = found.filter(example=number, layer=layer, projection=role)
                assert own["head"].to_list() == list(range(len(parts)))
                largest = max(part[0] for part in parts)
                for record, part in zip(own.iter_rows(named=True), parts, strict=True):
                    ours = np.zeros_like(part)
                    ours[: len(record["singular_values"])] = record["singular_values"][: len(part)]
                    assert np.abs(ours - part).max() <= 2e-5 * largest
                    norm = pytest.approx(np.linalg.norm(part), rel=2e-5, abs=2e-5 * largest)
                    assert record["frobenius_norm"] == norm
    # The heads' parts have no rows in common, so their squared norms add up.
    place = ["example", "layer", "projection"]
    squares = found.group_by(place).agg(pl.col("frobenius_norm").pow(2).sum().sqrt())
    both = table.join(squares, on=place, suffix="_of_heads")
    assert both.height == table.height
    np.testing.assert_allclose(both["frobenius_norm_of_heads"], both["frobenius_norm"], rtol=1e-6)


def test_heads_change_nothing_else_and_enter_keys_only_where_asked_for(
    make_model: Callable[..., Any], make_rows: Callable[..., list[TokenRow]]
) -> None:
    model, rows = make_model("llama", torch.float64), make_rows((33, 20))
    names = ("q", "o", "up")
    plain, heads = (extract(model, rows, projections=names, heads=each) for each in (False, True))
    assert "heads" not in plain.columns
    pl.testing.assert_frame_equal(heads.drop("heads"), plain)
    assert set(head_table(heads)["projection"]) == {"q", "o"}
    assert "heads" not in make_protocol(heads=False).key()
    assert make_protocol(heads=False).key() == STANDARD.key()
    assert make_protocol(heads=True).key() == {**STANDARD.key(), "heads": True}


def test_a_table_without_parts_says_how_to_get_them(
    make_model: Callable[..., Any], make_rows: Callable[..., list[TokenRow]]
) -> None:
    table = extract(make_model("llama"), make_rows((12, 3)))
    with pytest.raises(DataError, match="heads: true"):
        head_table(table)
    with pytest.raises(DataError, match="gate, up or down"):
        expert_table(table)


def test_heads_that_do_not_divide_a_projection_are_refused(
    make_model: Callable[..., Any],
) -> None:
    model = make_model("llama")
    assert [p.heads for p in find_projections(model, ("q", "k", "up"), heads=True)][:3] == [
        4,
        2,
        None,
    ]
    with pytest.raises(ModelError, match="33 columns, which do not divide into 4 heads"):
        count_heads(model, "q", 33, "layers.0.q_proj")
    vars(model.config)["num_attention_heads"] = [4, 2, 4]
    with pytest.raises(ModelError, match="no single number of attention heads"):
        find_projections(model, ("q",), heads=True)
