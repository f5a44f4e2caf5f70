"""Correlations agree with scipy, with residuals of ranks, and with planted truths."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy import stats

from gradpipe.errors import DataError, StudyError
from gradpipe.statistics.correlation import CORRELATION_SCHEMA, correlate

EXAMPLES = 40
LAYERS = 3


def make_table(examples: int = EXAMPLES, seed: int = 0) -> pl.DataFrame:
    """Two statistics that grow with the length, and a quality with ties that does too."""
    draw = np.random.default_rng(seed)
    tokens = draw.integers(5, 60, examples)
    quality = np.round(tokens / 20 + draw.normal(size=examples))
    loss = draw.uniform(1, 3, examples)
    return pl.DataFrame(
        [
            {
                "example": example,
                "loss": float(loss[example]),
                "tokens": int(tokens[example]) + 9,
                "response_tokens": int(tokens[example]),
                "layer": layer,
                "projection": projection,
                "nuclear_norm": tokens[example] * draw.lognormal(),
                "effective_rank": tokens[example] + 9 * quality[example] + draw.normal(),
                "quality": quality[example],
            }
            for example in range(examples)
            for layer in range(LAYERS)
            for projection in ("q", "o")
        ]
    )


def partial_twin(x: Any, y: Any, *controls: Any) -> float:
    """Pearson's correlation of what least squares leave of both ranks."""
    ranks = [stats.rankdata(values) for values in (x, y, *controls)]
    design = np.column_stack([np.ones(len(x)), *ranks[2:]])
    left = [
        values - design @ np.linalg.lstsq(design, values, rcond=None)[0] for values in ranks[:2]
    ]
    return float(np.corrcoef(*left)[0, 1])


def one(table: pl.DataFrame, statistic: str, projection: str | None, layer: int | None) -> Any:
    place = [pl.col("projection").eq_missing(projection), pl.col("layer").eq_missing(layer)]
    return table.filter(pl.col("statistic") == statistic, *place).row(0, named=True)


def test_rho_and_p_are_scipys_at_every_place() -> None:
    table = make_table()
    found = correlate(table, "quality")
    assert found.schema == CORRELATION_SCHEMA
    assert found.height == 2 + 2 * (2 * (LAYERS + 1) + 1)
    for row in found.filter(pl.col("layer").is_not_null()).iter_rows(named=True):
        rows = table.filter(projection=row["projection"], layer=row["layer"])
        expected = stats.spearmanr(rows[row["statistic"]], rows["quality"])
        assert row["rho"] == pytest.approx(expected.statistic, abs=1e-12)
        assert row["p"] == pytest.approx(expected.pvalue, rel=1e-9)
        assert row["examples"] == EXAMPLES


def test_partial_rho_is_the_correlation_of_the_residuals_of_ranks() -> None:
    table = make_table()
    found = correlate(table, "quality", controls=("response_tokens", "loss"))
    for row in found.filter(pl.col("layer").is_not_null()).iter_rows(named=True):
        rows = table.filter(projection=row["projection"], layer=row["layer"])
        twin = partial_twin(
            rows[row["statistic"]], rows["quality"], rows["response_tokens"].log(), rows["loss"]
        )
        assert row["partial_rho"] == pytest.approx(twin, abs=1e-10)
        assert row["partial_rho_low"] < twin < row["partial_rho_high"]


def test_the_partial_p_is_that_of_the_formula_for_one_control() -> None:
    table = make_table()
    rows = table.filter(projection="q", layer=1)
    x, y, z = (rows[name] for name in ("nuclear_norm", "quality", "response_tokens"))
    xy, xz, yz = (stats.spearmanr(*pair).statistic for pair in ((x, y), (x, z), (y, z)))
    rho = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    row = one(correlate(table, "quality"), "nuclear_norm", "q", 1)
    assert row["partial_rho"] == pytest.approx(rho, abs=1e-12)
    free = EXAMPLES - 3
    t = rho * np.sqrt(free / (1 - rho**2))
    assert row["partial_p"] == pytest.approx(2 * stats.t.sf(abs(t), free), rel=1e-9)


def test_without_layer_or_projection_a_row_is_of_means() -> None:
    table = make_table()
    found = correlate(table, "quality")
    by_projection = table.group_by("example", "projection", maintain_order=True).agg(
        pl.all().mean()
    )
    for projection in ("q", "o"):
        means = by_projection.filter(projection=projection)
        expected = stats.spearmanr(means["nuclear_norm"], means["quality"]).statistic
        assert one(found, "nuclear_norm", projection, None)["rho"] == pytest.approx(expected)
    scores = table.drop("projection").group_by("example", maintain_order=True).mean()
    expected = stats.spearmanr(scores["nuclear_norm"], scores["quality"]).statistic
    assert one(found, "nuclear_norm", None, None)["rho"] == pytest.approx(expected)


def test_the_baselines_stand_for_themselves_and_a_control_has_no_partial_rho() -> None:
    table = make_table()
    found = correlate(table, "quality")
    examples = table.filter(projection="q", layer=0)
    for name in ("loss", "response_tokens"):
        expected = stats.spearmanr(examples[name], examples["quality"]).statistic
        assert one(found, name, None, None)["rho"] == pytest.approx(expected)
    assert one(found, "response_tokens", None, None)["partial_rho"] is None
    assert one(found, "response_tokens", None, None)["partial_p_holm"] is None


@pytest.mark.parametrize("name", ["p", "partial_p"])
def test_corrections_count_every_test_of_the_table(name: str) -> None:
    found = correlate(make_table(), "quality").drop_nulls(name)
    p = found[name].to_numpy()
    assert found[f"{name}_bh"].to_numpy() == pytest.approx(stats.false_discovery_control(p))
    holm = [
        min(1.0, max((len(p) - rank) * value for rank, value in enumerate(sorted(p)) if value <= a))
        for a in p
    ]
    assert found[f"{name}_holm"].to_numpy() == pytest.approx(holm)


@pytest.mark.parametrize("missing", [None, float("nan"), float("inf")])
def test_missing_values_exclude_the_example_from_the_curve_or_from_all(
    missing: float | None,
) -> None:
    table = make_table()
    third = pl.col("example") == 3
    at_place = third & (pl.col("projection") == "q") & (pl.col("layer") == 1)
    gap = table.with_columns(
        nuclear_norm=pl.when(at_place).then(pl.lit(missing)).otherwise("nuclear_norm")
    )
    found = correlate(gap, "quality")
    without = correlate(table.filter(~third), "quality")
    for layer in (None, 0, 1, 2):
        row = one(found, "nuclear_norm", "q", layer)
        assert row["examples"] == EXAMPLES - 1
        expected = one(without, "nuclear_norm", "q", layer)["partial_rho"]
        assert row["partial_rho"] == pytest.approx(expected)
    assert one(found, "nuclear_norm", "o", 1)["examples"] == EXAMPLES
    unknown = table.with_columns(quality=pl.when(third).then(pl.lit(missing)).otherwise("quality"))
    assert correlate(unknown, "quality").equals(without)


def test_a_constant_column_and_too_few_examples_have_no_correlation() -> None:
    table = make_table()
    same = correlate(table.with_columns(quality=1), "quality")
    assert same.select("rho", "p", "partial_rho", "rho_low").null_count().row(0) == (19 + 1,) * 4
    few = correlate(table.filter(pl.col("example") < 3), "quality")
    assert few["rho_low"].is_null().all()
    assert correlate(table.filter(pl.col("example") < 0), "quality")["rho"].is_null().all()


def test_a_constant_control_changes_nothing_but_is_not_counted() -> None:
    table = make_table().with_columns(response_tokens=7)
    row = one(correlate(table, "quality"), "nuclear_norm", "q", 0)
    assert row["partial_rho"] == row["rho"]
    assert row["partial_p"] == row["p"]


def test_tables_that_cannot_be_correlated_are_refused() -> None:
    table = make_table()
    with pytest.raises(DataError, match="'qualty'.*'quality'"):
        correlate(table, "qualty")
    with pytest.raises(DataError, match="String"):
        correlate(table.with_columns(quality=pl.lit("good")), "quality")
    with pytest.raises(DataError, match="twice"):
        correlate(pl.concat([table, table]), "quality")
    both = [table.with_columns(model=pl.lit(name)) for name in ("a", "b")]
    with pytest.raises(DataError, match="2 models"):
        correlate(pl.concat(both), "quality")
    with pytest.raises(StudyError, match="'nuclear_norm'"):
        correlate(table, "quality", ["nuclear_nrm"])


def simulated(
    examples: int, slope: float, draw: np.random.Generator, heavy: bool
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """A statistic and a quality that share the length, and ``slope`` of noise besides."""
    length, shared, *own = draw.normal(size=(4, examples))
    x, y = (length + slope * shared + noise for noise in own)
    return (np.exp(2 * x), np.exp(y), length) if heavy else (x, y, length)


def coverage(examples: int, slope: float, heavy: bool, runs: int = 400) -> tuple[float, float]:
    """The shares of intervals, plain and partial, that hold the value of a large sample."""
    draw = np.random.default_rng(5)
    x, y, z = simulated(200_000, slope, draw, heavy)
    truth = (stats.spearmanr(x, y).statistic, partial_twin(x, y, z))
    samples = [simulated(examples, slope, draw, heavy) for _ in range(runs)]
    hits = np.zeros(2)
    for x, y, z in samples:
        frame = pl.DataFrame({"example": range(examples), "nuclear_norm": x, "quality": y, "z": z})
        frame = frame.with_columns(
            layer=0, projection=pl.lit("q"), loss=1.0, tokens=1, response_tokens=1
        )
        row = one(correlate(frame, "quality", controls=("z",)), "nuclear_norm", "q", 0)
        hits += [
            row[f"{kind}rho_low"] <= true <= row[f"{kind}rho_high"]
            for kind, true in zip(("", "partial_"), truth, strict=True)
        ]
    plain, partial = hits / runs
    return float(plain), float(partial)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("examples", "slope", "heavy"), [(20, 0.0, False), (20, 1.5, True), (100, 2.0, True)]
)
def test_95_of_100_intervals_hold_the_truth(examples: int, slope: float, heavy: bool) -> None:
    for share in coverage(examples, slope, heavy):
        assert 0.92 <= share <= 0.98


def test_a_quality_that_is_only_length_has_no_partial_correlation() -> None:
    """False positives of partial p-values are nominal, where those of plain ones are certain."""
    draw = np.random.default_rng(3)
    length = draw.integers(5, 200, 150)
    columns = {f"{n}": length * draw.lognormal(size=150) for n in range(300)}
    frame = (
        pl.DataFrame({"example": range(150), "response_tokens": length, **columns})
        .with_columns(quality=pl.Series(length + 30 * draw.normal(size=150)))
        .unpivot(
            on=list(columns),
            index=["example", "response_tokens", "quality"],
            variable_name="layer",
            value_name="nuclear_norm",
        )
        .with_columns(pl.col("layer").cast(pl.Int64), projection=pl.lit("q"))
    )
    found = correlate(frame.with_columns(loss=1.0), "quality", ["nuclear_norm"])
    layers = found.filter(pl.col("layer").is_not_null())
    assert np.mean(layers["p"].to_numpy() < 0.05) > 0.95
    assert np.mean(layers["partial_p"].to_numpy() < 0.05) < 0.12
