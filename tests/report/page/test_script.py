"""What the page's script computes and writes itself, compared with the same in Python."""

import json
import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from gradpipe.report import style
from gradpipe.report.chart_data import (
    LEAST_BAND,
    RATIOS,
    drawn_curves,
    layer_differences,
    relevance_ratio_table,
    style_ratio_table,
)
from gradpipe.report.page.render import packaged_text
from gradpipe.report.page.table_values import column_kinds, column_values
from gradpipe.report.tables.curves import rd_table
from gradpipe.report.tables.table import LEAST_P, ReportTable
from gradpipe.statistics.differences import relative_difference

STYLES = ("none", "simplified", "detailed", "length_100", "length_500")
#: The scripts without the part that reads the data.
SCRIPTS = ("choice", "rows", "draw", "tables")
KEYS = ["style", "projection", "layer"]
NUMBERS = ["ratio", "se", "low", "high", "examples"]


def random_curves(seed: int) -> pl.DataFrame:
    """Curves of one model and benchmark, some of them zero or negative or without an error."""
    random = np.random.default_rng(seed)
    keys = pl.DataFrame({"style": STYLES}).join(
        pl.DataFrame({"relevance": ["correct", "irrelevant"]}), how="cross"
    )
    keys = keys.join(pl.DataFrame({"projection": ["q", "gate"]}), how="cross")
    curves = keys.join(pl.DataFrame({"layer": range(9)}), how="cross")
    mean = np.exp(random.normal(0, 4, curves.height))
    mean[random.random(curves.height) < 0.1] *= -1
    mean[random.random(curves.height) < 0.05] = 0
    sd = np.exp(random.normal(0, 3, curves.height)) * np.abs(mean)
    return curves.with_columns(
        model=pl.lit("m"),
        benchmark=pl.lit("b"),
        family=pl.lit("math"),
        statistic=pl.lit("nuclear_norm"),
        mean=mean,
        sd=pl.Series(sd),
        examples=random.integers(1, 40, curves.height),
    ).sample(fraction=0.95, seed=seed)


def page_rows(curves: pl.DataFrame) -> list[dict[str, Any]]:
    """Curves as the page's data have them, but exact: errors are shares of the means."""
    share = pl.col("se") / pl.col("mean").abs()
    rows = drawn_curves(curves).with_columns(pl.when(share.is_finite()).then(share).alias("error"))
    return rows.select(*KEYS, "relevance", "mean", "error", "examples").to_dicts()


def run(browser: Any, index: dict[str, Any], call: str, **variables: Any) -> Any:
    """The value of an expression in the page's script, without the part that reads the data."""
    stubs = "const tableRows = async () => table;"
    script = "\n".join([stubs, *(packaged_text(f"{name}.js") for name in SCRIPTS)])
    values = [f"const {k} = {json.dumps(v)};" for k, v in ({"index": index} | variables).items()]
    page = browser.new_page()
    try:
        return page.evaluate("\n".join(["async () => {", *values, script, f"return {call}; }}"]))
    finally:
        page.close()


def by_keys(rows: pl.DataFrame, *more: str) -> pl.DataFrame:
    numbers = rows.select(*KEYS, *more, pl.col(NUMBERS).cast(pl.Float64))
    return numbers.sort(*KEYS, *more)


def assert_same(computed: list[dict[str, Any]], expected: pl.DataFrame, *more: str) -> None:
    columns = [*KEYS, *more, *NUMBERS]
    found = by_keys(pl.DataFrame(computed, infer_schema_length=None).select(columns), *more)
    expected = by_keys(expected, *more)
    assert found.height > 20
    assert found.select(*KEYS, *more).equals(expected.select(*KEYS, *more))
    for name in NUMBERS:
        assert found[name].is_null().equals(expected[name].is_null()), name
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_ratios_on_the_page_equal_those_of_the_files(browser: Any, seed: int) -> None:
    curves = random_curves(seed)
    index = {"labels": {"style": style.STYLE_LABELS}, "ratios": RATIOS, "leastBand": LEAST_BAND}
    call = "{styles: styleRatios(rows), relevances: relevanceRatios(rows)}"
    computed = run(browser, index, call, rows=page_rows(curves))
    drawn = drawn_curves(curves)
    of_styles = style_ratio_table(drawn)
    assert of_styles["pair"].n_unique() == 4
    assert_same(computed["styles"], of_styles, "pair", "relevance")
    assert_same(computed["relevances"], relevance_ratio_table(drawn))


def test_rd_on_the_page_marks_the_largest_layers_of_the_table(browser: Any) -> None:
    curves = random_curves(7).with_columns(pl.col("mean").abs() + 0.1)
    table = rd_table(relative_difference(curves))
    index = {
        "labels": {"style": style.STYLE_LABELS},
        "leastBand": LEAST_BAND,
        "tables": {"rd": {"columns": table.columns, "heads": table.heads}},
        "largestLayers": {p: table.columns.index(f"largest_layers_{p}") for p in ("q", "gate")},
    }
    computed = run(
        browser,
        index,
        "await layerDifferences(rows, {model: 'm', benchmark: 'b', statistic: 'nuclear_norm'})",
        rows=page_rows(curves),
        table=[list(row) for row in zip(*column_values(table), strict=True)],
    )
    expected = layer_differences(drawn_curves(curves))
    assert_same(computed, expected)
    found = pl.DataFrame(computed).sort(KEYS)
    np.testing.assert_allclose(found["rd"], expected.sort(KEYS)["rd"], rtol=1e-12)
    assert found["largest"].to_list() == expected.sort(KEYS)["largest"].to_list()
    assert 0 < found["largest"].sum() < found.height


def test_values_in_cells_are_written_as_in_the_other_tables(browser: Any) -> None:
    random = np.random.default_rng(5)
    edges = [0.0, 1.0, 99.94, 0.001, 999.7, 99_960.0, 99_999.7, 0.0009999]
    numbers = [*edges, *(np.exp(random.normal(0, 9, 296)) * random.choice([-1, 1]))]
    frame = pl.DataFrame(
        {
            "style": ["length_100", "none", "none_padded", None] * 76,
            "items": [0, 7, 1234567, None] * 76,
            "p_adjusted": [0.5, LEAST_P, LEAST_P / 7, None] * 76,
            "layers": [[3, 17], [4], [], None] * 76,
            "reason": ["a < b", "", "1e3", None] * 76,
            "effect": numbers,
        },
        schema_overrides={"items": pl.Int64},
    )
    values = column_values(ReportTable("t", "caption", frame, heads=1))
    # Shown numbers are the rounded ones, so the cells of the rounded frame are what is expected.
    rounded = frame.with_columns(
        pl.Series(name, column, frame[name].dtype, strict=False)
        for name, column in zip(frame.columns, values, strict=True)
    )
    expected = ReportTable("t", "caption", rounded, heads=1).cells()
    assert [type(value) for value in values[-1][:3]] == [int, int, float]
    kinds = column_kinds(frame)
    assert kinds == ["style", "count", "p", "layers", "text", "number"]
    index = {"labels": {"style": style.STYLE_LABELS}, "leastP": LEAST_P}
    call = "columns.map((column, i) => column.map((value) => formatValue(value, kinds[i])))"
    written = run(browser, index, call, columns=values, kinds=kinds)
    assert [list(row) for row in zip(*written, strict=True)] == expected


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_what_is_no_finite_number_is_missing_in_the_pages_tables(value: float | None) -> None:
    frame = pl.DataFrame({"mad": [value, 0.12345]}, schema={"mad": pl.Float64})
    assert column_values(ReportTable("t", "caption", frame, heads=0)) == [[None, 0.123]]


@pytest.mark.parametrize("descending", [False, True])
def test_rows_are_sorted_by_their_numbers_and_missing_ones_are_last(
    browser: Any, descending: bool
) -> None:
    numbers = [0.02, LEAST_P / 7, 12_345, 9.5, -3, LEAST_P / 2]
    rows = [[None], *([number] for number in numbers), [None]]
    state = {"column": 0, "descending": descending}
    call = "sortRows(rows, state, ['p'])"
    in_order = run(browser, {"leastP": LEAST_P}, call, rows=rows, state=state)
    expected = [[number] for number in sorted(numbers, reverse=descending)]
    assert in_order == [*expected, [None], [None]]


def test_a_number_is_found_without_the_thin_space_that_it_is_shown_with(browser: Any) -> None:
    call = "['1234', '1\u202f234', '234 detailed', '12345'].map((typed) => found(typed))"
    found = """(() => { const box = document.createElement("input");
      box.dataset.search = "examples"; document.body.append(box);
      return (typed) => { box.value = typed;
        return searchRows([[1234, "detailed"]], "examples", ["count", "text"]).length; }; })()"""
    counts = run(browser, {}, f"(() => {{ const found = {found}; return {call}; }})()")
    assert counts == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("value", "text"), [(999.7, "1000"), (-999.7, "-1000"), (99_999.7, "1.00e+05"), (5.0, "5.00")]
)
def test_a_number_that_rounds_up_is_written_like_its_rounded_value(
    browser: Any, value: float, text: str
) -> None:
    assert run(browser, {}, "formatNumber(value)", value=value) == text == style.number(value)


@pytest.mark.parametrize(
    ("counts", "text"),
    [([1], " · 1 example"), ([1, 2], " · 1 to 2 examples"), ([8], " · 8 examples")],
)
def test_the_sample_size_is_in_the_singular_or_the_plural(
    browser: Any, counts: list[int], text: str
) -> None:
    rows = [{"examples": count} for count in counts]
    assert run(browser, {}, "sampleSize(rows)", rows=rows) == text
