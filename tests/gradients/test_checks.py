"""Checks of spectra: what is sound passes, and each fault is found and counted."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradpipe.gradients.checks import check_rows, check_spectra
from gradpipe.gradients.rows import ROW_SCHEMA

PROJECTIONS = ("k", "o", "q", "v")


def spectra(rows: int = 3, layers: int = 2, scale: float = 1.0, seed: int = 0) -> pl.DataFrame:
    """Sound rows: the Frobenius norm is taken in double precision, singular values kept single."""
    random = np.random.default_rng(seed)

    def matrix(layer: int, projection: str) -> dict[str, object]:
        values = np.sort(random.lognormal(0, 3, random.integers(1, 40)))[::-1] * scale
        return {
            "layer": layer,
            "projection": projection,
            "frobenius_norm": float(np.sqrt((values**2).sum())),
            "singular_values": values.astype(np.float32),
        }

    records = [
        {
            "row": row,
            "loss": 1.0,
            "tokens": 5,
            "response_tokens": 2,
            "truncated": False,
            "reason": None,
            "seconds": 0.1,
            "matrices": [matrix(layer, name) for layer in range(layers) for name in PROJECTIONS],
        }
        for row in range(rows)
    ]
    frame = pl.DataFrame(records, schema=ROW_SCHEMA)
    return frame.with_columns(pl.col("row").cast(pl.String).alias("key"))


def failed(frame: pl.DataFrame, portion: int = 2) -> set[str]:
    checks = check_spectra(frame.drop("matrices"), frame.iter_slices(portion), PROJECTIONS)
    return {check.name for check in checks if not check.passed}


def changed(frame: pl.DataFrame, row: int, matrix: int, **fields: object) -> pl.DataFrame:
    """The frame with some fields of one matrix replaced."""
    records = frame.to_dicts()
    records[row]["matrices"][matrix] |= fields
    return pl.DataFrame(records, schema=frame.schema)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(0, 5),
    layers=st.integers(1, 4),
    # Below 1e-15 the squares of single-precision values would leave what floats can say.
    exponent=st.floats(-12, 12),
    portion=st.integers(1, 6),
    seed=st.integers(0, 10**6),
)
def test_sound_spectra_pass_at_any_size_and_scale(
    rows: int, layers: int, exponent: float, portion: int, seed: int
) -> None:
    assert failed(spectra(rows, layers, 10**exponent, seed), portion) == set()


def test_a_gradient_of_zero_is_sound() -> None:
    frame = changed(spectra(), 0, 0, frobenius_norm=0.0, singular_values=[0.0, 0.0])
    assert failed(frame) == set()


def test_a_row_that_lacks_a_matrix_is_found() -> None:
    records = spectra().to_dicts()
    del records[1]["matrices"][5]
    assert failed(pl.DataFrame(records, schema=spectra().schema)) == {"every_layer_and_projection"}


def test_factors_may_be_in_some_layers_only() -> None:
    layer, name = (pl.element().struct.field(field) for field in ("layer", "projection"))
    # Earlier rows list the projections of the protocol as gaps.
    gaps = [{"layer": number, "projection": "up"} for number in range(3)]
    frame = spectra(layers=3).with_columns(
        pl.col("matrices").list.filter((layer != 1) | (name == "q")),
        gaps=pl.Series([gaps] * 3, dtype=ROW_SCHEMA["gaps"]),
    )
    checks = check_spectra(frame.drop("matrices"), [frame], ())
    assert [check.name for check in checks if not check.passed] == []
    one = changed(frame, 0, 0, projection="other")
    assert not check_spectra(one.drop("matrices"), [one], ())[0].passed


def test_a_layer_that_no_row_has_is_found() -> None:
    frame = spectra(layers=3)
    kept = pl.col("matrices").list.filter(pl.element().struct.field("layer") != 1)
    assert failed(frame.with_columns(kept)) == {"every_layer_and_projection"}


def test_a_projection_that_was_not_asked_for_is_found() -> None:
    assert failed(changed(spectra(), 0, 0, projection="gate")) == {"every_layer_and_projection"}


def test_usable_rows_with_no_matrix_at_all_are_found() -> None:
    frame = spectra().with_columns(pl.col("matrices").list.head(0))
    assert failed(frame) == {"every_layer_and_projection"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_found_wherever_it_is(value: float) -> None:
    assert "all_finite" in failed(changed(spectra(), 2, 1, frobenius_norm=value))
    assert "all_finite" in failed(changed(spectra(), 2, 1, singular_values=[1.0, value]))
    assert failed(spectra().with_columns(pl.lit(value).alias("loss"))) == {"all_finite"}


@pytest.mark.parametrize("factor", [0.999, 1.001])
def test_a_norm_that_is_not_that_of_its_values_is_found(factor: float) -> None:
    frame = spectra()
    norm = frame["matrices"][1][3]["frobenius_norm"]
    assert failed(changed(frame, 1, 3, frobenius_norm=norm * factor)) == {"energy_is_frobenius"}


def test_unusable_rows_need_no_spectra() -> None:
    frame = spectra()
    unusable = frame.head(1).with_columns(
        pl.lit("empty").alias("reason"),
        pl.lit(None, pl.Float64).alias("loss"),
        pl.col("matrices").list.head(0),
        pl.lit("other").alias("key"),
    )
    assert failed(pl.concat([frame, unusable])) == set()


def test_equal_pairs_are_one_row_of_the_store() -> None:
    frame = spectra()
    twice = pl.concat([frame, frame.head(1)]).drop("matrices")
    assert all(check.passed for check in check_spectra(twice, [frame], PROJECTIONS))


@pytest.mark.parametrize(("limit", "passed"), [(0.24, False), (0.25, True), (1.0, True)])
def test_the_share_of_unusable_rows_is_held_against_the_limit(limit: float, passed: bool) -> None:
    rows = pl.DataFrame({"reason": [None, None, "empty", None], "truncated": [False] * 4})
    check = check_rows(rows, limit)
    assert check.passed is passed
    assert check.numbers["unusable"] == 1


def test_usable_rows_that_are_cut_to_the_window_are_counted() -> None:
    reasons = [None, None, "truncated away", None]
    rows = pl.DataFrame({"reason": reasons, "truncated": [True, False, True, True]})
    check = check_rows(rows, 0.5)
    assert check.passed
    assert check.numbers["truncated"] == 2
    assert "2 usable rows" in check.note
    assert "window" not in check_rows(rows.with_columns(truncated=pl.lit(False)), 0.5).note


def test_no_rows_at_all_are_within_any_limit() -> None:
    schema = {"reason": pl.String, "truncated": pl.Boolean}
    assert check_rows(pl.DataFrame(schema=schema), 0.0).passed
