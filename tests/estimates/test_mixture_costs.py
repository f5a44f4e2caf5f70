"""Costs of the roles that only mixtures have, and of their experts."""

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from gradpipe.estimates.costs import row_values, spectra_flops
from gradpipe.estimates.model_shape import config_shape
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import make_protocol
from gradpipe.gradients.rows import explode_matrices
from gradpipe.models.load import LoadedModel
from tests.estimates.conftest import rows_of
from tests.gradients.mixture_twins import make_mixture

ROLES = ("router", "gate", "up", "down", "shared_gate", "shared_up", "shared_down")


def test_the_values_of_experts_are_about_as_many_as_estimated() -> None:
    tokenizer: Any = None
    model = make_mixture("qwen2_moe", vocab_size=512)
    loaded = LoadedModel(
        name="random", fingerprint="", model=model, tokenizer=tokenizer, device="cpu"
    )
    names, lengths = ("gate", "up", "down"), [(60, 30), (40, 10)]
    frames = extract_rows(loaded, rows_of(*lengths), make_protocol(projections=names))
    table = explode_matrices(pl.concat(frames).lazy()).collect()
    for number, length in enumerate(lengths):
        found = table.filter(row=number)["singular_values"].list.len().sum()
        estimated = row_values(config_shape(model.config), *length, names)
        assert estimated == pytest.approx(found, rel=0.25)


def test_experts_cost_less_than_one_mlp_that_sees_all_of_their_tokens() -> None:
    shape = config_shape(make_mixture("qwen2_moe").config)
    one = replace(shape, experts=1, active=1)
    assert shape.blocks("up", 10) == (4, 5)
    assert shape.blocks("router", 10) == one.blocks("up", 10) == (1, 10)
    long = 2000
    assert spectra_flops(shape, long, 100, ("up",)) < 4 * spectra_flops(one, long, 100, ("up",))
    assert all(spectra_flops(shape, 100, 50, (role,)) > 0 for role in ROLES)
