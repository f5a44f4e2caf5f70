"""``gradpipe.charts``: every chart of a report, drawn from a table that gradpipe returned."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
import vl_convert

import gradpipe as gp
from gradpipe.errors import DataError
from gradpipe.report.chart_data import compared_as
from gradpipe.report.charts.images import static_charts
from gradpipe.report.charts.kinds import ALL_KINDS, KINDS
from gradpipe.report.page.charts import page_charts
from gradpipe.report.report_data import ReportInputs
from gradpipe.statistics.examples import example_scores

CLAIM = "none > detailed on nuclear_norm"
STEPS = {"one": 0, "other": 10}
STYLES = {"none": "It is {}.", "detailed": "Adding the two numbers gives us {}."}


class Results(NamedTuple):
    """What gradpipe's functions return for a small model and a second one like it."""

    spectra: pl.DataFrame
    table: pl.DataFrame
    curves: pl.DataFrame
    verdicts: pl.DataFrame
    comparison: pl.DataFrame
    alignment: pl.DataFrame
    details: pl.DataFrame

    def mads(self, **labels: str) -> pl.DataFrame:
        return gp.mad(self.curves.with_columns(pl.lit(v).alias(k) for k, v in labels.items()))


@pytest.fixture(scope="module")
def results(small_model: Path, inputs: ReportInputs) -> Results:
    loaded = gp.load_model(str(small_model))
    rows = [
        {
            "instruction": f"What is {n} plus {n}?",
            "output": text.format(2 * n + (relevance == "irrelevant")),
            "item": str(n),
            "style": style,
            "relevance": relevance,
        }
        for n in range(8)
        for style, text in STYLES.items()
        for relevance in ("correct", "irrelevant")
    ]
    labels = pl.DataFrame(rows).with_row_index("example").cast({"example": pl.Int64})
    spectra = gp.extract_spectra(loaded.model, loaded.tokenizer, rows).join(
        labels.drop("instruction", "output"), on="example"
    )
    spectra = spectra.with_columns(model=pl.lit("one"), benchmark=pl.lit("sums"))
    table = gp.statistics_table(spectra, ["nuclear_norm", "effective_rank", "sigma1_ratio"])
    other = table.with_columns(pl.col("nuclear_norm") * 2, model=pl.lit("other"))
    return Results(
        spectra=spectra,
        table=table,
        curves=gp.curves(pl.concat([table, other])),
        verdicts=gp.judge(table, [CLAIM]),
        comparison=gp.compare(table, other, ["nuclear_norm"]),
        alignment=inputs.alignment.filter(benchmark="mini_maths"),
        details=inputs.details.filter(benchmark="mini_maths").with_columns(
            model=pl.lit("one"), benchmark=pl.lit("sums")
        ),
    )


#: The kinds of charts by the function that draws them.
FUNCTIONS: dict[str, dict[str, Callable[[Results], Any]]] = {
    "headline": {"headline": lambda r: gp.charts.headline(r.curves, model="one")},
    "curves": {"curves": lambda r: gp.charts.curves(r.curves, model="one")},
    "heatmap": {"heatmap": lambda r: gp.charts.heatmap(r.curves, model="one")},
    "curves_of_styles": {"styles": lambda r: gp.charts.curves_of_styles(r.curves, model="one")},
    "curves_of_models": {"models": lambda r: gp.charts.curves_of_models(r.curves, style="none")},
    "style_ratios": {"ratio": lambda r: gp.charts.style_ratios(r.curves, model="one")},
    "relevance": {"relevance": lambda r: gp.charts.relevance(r.curves, model="one")},
    "relevance_ratios": {
        "irrelevant-over-correct": lambda r: gp.charts.relevance_ratios(r.curves, model="one")
    },
    "difference_by_layer": {"rd": lambda r: gp.charts.difference_by_layer(r.curves, model="one")},
    "base_and_tuned": {"twins": lambda r: gp.charts.base_and_tuned(r.curves, "one", "other")},
    "mad": {"mad": lambda r: gp.charts.mad(r.mads(), model="one")},
    "knowledge": {"knowledge": lambda r: gp.charts.knowledge(r.mads(style="article"), model="one")},
    "relative_difference": {
        "relative-difference": lambda r: gp.charts.relative_difference(
            gp.relative_difference(r.curves), model="one"
        )
    },
    "discrimination": {
        "discrimination": lambda r: gp.charts.discrimination(gp.discrimination(r.table))
    },
    "verdicts": {"verdicts": lambda r: gp.charts.verdicts(r.verdicts)},
    "length": {"length": lambda r: gp.charts.length(r.table)},
    "comparison": {"comparison": lambda r: gp.charts.comparison(r.comparison)},
    "alignment": {
        "cosines-same-layer": lambda r: gp.charts.alignment(r.spectra),
        "cosines-next-layer": lambda r: gp.charts.alignment(r.spectra, kind="next_layer"),
        "cosines-responses": lambda r: gp.charts.alignment(r.alignment, kind="responses"),
    },
    "examples": {"examples": lambda r: gp.charts.examples(r.table)},
    "one_example": {
        "one-example": lambda r: gp.charts.one_example(r.table, style="none", model="one")
    },
    "token_losses": {"token-losses": lambda r: gp.charts.token_losses(r.details)},
    "spectra": {"spectra": lambda r: gp.charts.spectra(r.spectra)},
    "over_steps": {"steps": lambda r: gp.charts.over_steps(r.curves, STEPS)},
    "claims_by_steps": {
        "claims-by-steps": lambda r: gp.charts.claims_by_steps(
            r.table, {"one": 1}, [CLAIM], title="sums"
        )
    },
    "layers_by_steps": {
        "layers-by-steps": lambda r: gp.charts.layers_by_steps(r.curves, STEPS, style="none")
    },
}
DRAWN = {kind: draw for kinds in FUNCTIONS.values() for kind, draw in kinds.items()}


def drawn(kind: str, results: Results) -> pl.DataFrame:
    """The rows in a chart."""
    return pl.DataFrame(DRAWN[kind](results).data.values, infer_schema_length=None)


def sorted_values(frame: pl.DataFrame, column: str) -> list[float]:
    return frame[column].drop_nulls().sort().to_list()


def test_every_chart_of_a_report_has_a_function(inputs: ReportInputs) -> None:
    assert list(FUNCTIONS) == gp.charts.__all__
    assert set(DRAWN) == {kind.name for kind in ALL_KINDS}
    assert all(kind.function is not None for kind in ALL_KINDS)
    assert {name.split("--")[0] for name, _ in static_charts(inputs)} <= set(KINDS)
    on_page = {chart.kind.draw for chart in page_charts(inputs).values()}
    assert on_page <= {kind.draw for kind in KINDS.values()}


@pytest.mark.parametrize("kind", DRAWN)
def test_a_chart_compiles_with_its_data_and_its_title(kind: str, results: Results) -> None:
    chart = DRAWN[kind](results)
    svg = vl_convert.vegalite_to_svg(json.dumps(chart.to_dict()))
    assert KINDS[kind].subtitle.replace("'", "&#39;") in svg or KINDS[kind].subtitle in svg
    assert svg.count("<path") > len(chart.data.values) / 4
    assert ("mini_maths" if kind == "cosines-responses" else "sums") in svg


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("curves", "mean", lambda r: r.curves.filter(model="one", relevance="correct")),
        ("relevance", "mean", lambda r: r.curves.filter(model="one")),
        ("twins", "mean", lambda r: r.curves.filter(relevance="correct")),
        ("mad", "mad", lambda r: r.mads().filter(model="one", segment="all")),
        (
            "knowledge",
            "mad",
            lambda r: r.mads(style="article").filter(model="one", segment="all"),
        ),
        (
            "relative-difference",
            "rd",
            lambda r: gp.relative_difference(r.curves).filter(model="one"),
        ),
        (
            "discrimination",
            "auroc",
            lambda r: gp.discrimination(r.table, ["nuclear_norm"]).drop_nulls("layer"),
        ),
        ("verdicts", "effect", lambda r: r.verdicts.filter(level="cell")),
        ("comparison", "ratio", lambda r: r.comparison),
        ("cosines-responses", "mean", lambda r: r.alignment.filter(kind="responses")),
        ("examples", "nuclear_norm", lambda r: example_scores(r.table.lazy())),
    ],
)
def test_a_charts_data_are_the_tables_values(
    kind: str, value: str, expected: Callable[[Results], pl.DataFrame], results: Results
) -> None:
    table = expected(results)
    if "statistic" in table.columns:
        table = table.filter(statistic="nuclear_norm")
    shown = {"ratio": "effect"}.get(value, value)
    assert sorted_values(drawn(kind, results), shown) == sorted_values(table, value)


def test_a_point_stands_at_its_layer_under_its_labels(results: Results) -> None:
    (row,) = results.curves.filter(
        model="one",
        style="detailed",
        relevance="correct",
        projection="v",
        statistic="nuclear_norm",
        layer=1,
    ).to_dicts()
    (point,) = drawn("curves", results).filter(style="detailed", projection="v", layer=1).to_dicts()
    assert point["mean"] == row["mean"]
    assert point["examples"] == row["examples"] == 8
    assert point["high"] == pytest.approx(row["mean"] + row["sd"] / 8**0.5)


def test_ratios_are_those_of_the_curves(results: Results) -> None:
    where = {"model": "one", "statistic": "nuclear_norm", "projection": "q", "layer": 2}
    means = {
        (row["style"], row["relevance"]): row["mean"]
        for row in results.curves.filter(**where).to_dicts()
    }
    at = {"projection": "q", "layer": 2}
    of_none = {**at, "style": "none"}
    (of_styles,) = drawn("ratio", results).filter(**at).to_dicts()
    assert of_styles["pair"] == "none / detailed"
    assert of_styles["ratio"] == means["none", "correct"] / means["detailed", "correct"]
    (of_relevances,) = drawn("irrelevant-over-correct", results).filter(**of_none).to_dicts()
    ratio = means["none", "irrelevant"] / means["none", "correct"]
    assert of_relevances["ratio"] == ratio
    (difference,) = drawn("rd", results).filter(**of_none).to_dicts()
    assert difference["rd"] == abs(ratio - 1)


def test_cosines_are_means_of_the_spectras(results: Results) -> None:
    here = results.spectra.filter(style="none", relevance="correct", layer=1)
    at = {"style": "none", "relevance": "correct", "layer": 1}
    for kind, pair, column in (
        ("cosines-same-layer", "q_ot", "q_ot_cosine"),
        ("cosines-next-layer", "k", "next_layer_cosine"),
    ):
        projection = "k" if kind == "cosines-next-layer" else "q"
        mean = here.filter(projection=projection)[column].cast(pl.Float64).mean()
        (point,) = drawn(kind, results).filter(**at, pair=pair).to_dicts()
        assert point["mean"] == pytest.approx(mean)
        assert point["examples"] == 8


def test_two_responses_are_named(results: Results) -> None:
    responses = results.alignment.filter(kind="responses")
    names = set(responses.select(compared_as())["style"])
    assert set(drawn("cosines-responses", results)["pair"]) == names


def test_spectra_are_those_of_the_most_extreme_examples(results: Results) -> None:
    scores = example_scores(results.table.lazy()).sort("nuclear_norm")
    chart = gp.charts.spectra(results.spectra, most=1)
    rows = pl.DataFrame(chart.data.values)
    assert set(rows.filter(end="largest")["index"]) == {scores["index"][-1]}
    assert set(rows.filter(end="smallest")["index"]) == {scores["index"][0]}
    first = rows.filter(end="largest", projection="o", rank=1)["value"].item()
    assert first in results.spectra["singular_values"].list.first().to_list()


def test_length_compares_styles_with_and_without_a_control(results: Results) -> None:
    rows = drawn("length", results)
    assert set(rows["control"]) >= {"as measured", "summed loss"}
    assert set(rows["pair"]) == {"none / detailed"}


def test_a_claims_panel_is_titled_by_its_statement(results: Results) -> None:
    assert set(drawn("verdicts", results)["part"]) == {CLAIM}
    chart = gp.charts.verdicts(results.verdicts, [CLAIM])
    (part,) = {row["part"].replace("\n", " ") for row in chart.data.values}
    assert part.startswith("The curve of nuclear_norm is higher for correct responses")


def test_options_are_taken(results: Results) -> None:
    chart = gp.charts.curves(
        results.curves, model="other", statistic="effective_rank", log=True, title="Mine"
    )
    assert chart.title.text == "Mine"
    specification = json.dumps(chart.to_dict())
    assert '"title": "effective rank (directions)"' in specification
    assert '"type": "log"' in specification
    expected = results.curves.filter(model="other", statistic="effective_rank", relevance="correct")
    assert sorted_values(pl.DataFrame(chart.data.values), "mean") == sorted_values(expected, "mean")


def test_without_a_name_of_model_or_benchmark_the_subtitle_is_the_title(results: Results) -> None:
    unnamed = results.curves.filter(model="one").with_columns(
        model=pl.lit(""), benchmark=pl.lit("")
    )
    assert gp.charts.curves(unnamed).title.text == KINDS["curves"].subtitle


def test_a_scanned_table_is_read(results: Results) -> None:
    lazy = gp.charts.curves(results.curves.lazy(), model="one")
    assert lazy.to_dict() == DRAWN["curves"](results).to_dict()


def test_values_that_a_logarithmic_scale_does_not_have_are_left_out(results: Results) -> None:
    zero = results.curves.with_columns(
        pl.when(pl.col("layer") == 0).then(0.0).otherwise("mean").alias("mean")
    )
    linear, log = (gp.charts.curves(zero, model="one", log=log) for log in (False, True))
    assert {row["layer"] for row in linear.data.values} == {0, 1, 2}
    assert {row["layer"] for row in log.data.values} == {1, 2}


@pytest.mark.parametrize(
    ("draw", "made_by"),
    [
        (gp.charts.curves, "gp.curves"),
        (gp.charts.mad, "gp.mad"),
        (gp.charts.relative_difference, "gp.relative_difference"),
        (gp.charts.discrimination, "gp.discrimination"),
        (gp.charts.verdicts, "gp.judge"),
        (gp.charts.comparison, "gp.compare"),
        (gp.charts.examples, "gp.statistics_table"),
        (gp.charts.length, "gp.statistics_table"),
        (gp.charts.spectra, "gp.extract_spectra"),
        (gp.charts.alignment, "gp.extract_spectra"),
    ],
)
def test_another_table_is_refused_with_the_column_and_the_function(
    draw: Callable[[pl.DataFrame], Any], made_by: str
) -> None:
    with pytest.raises(DataError, match=r"no column '\w+', only color") as error:
        draw(pl.DataFrame({"color": ["blue"]}))
    assert f"{made_by} returns" in str(error.value)


def test_several_models_must_be_chosen_from(results: Results) -> None:
    with pytest.raises(DataError, match="'model' \\('one', 'other'\\)"):
        gp.charts.curves(results.curves)
    with pytest.raises(DataError, match="no model 'third'"):
        gp.charts.curves(results.curves, model="third")
    with pytest.raises(DataError, match="no statistic 'size'"):
        gp.charts.curves(results.curves, model="one", statistic="size")
    with pytest.raises(DataError, match="no model 'third'"):
        gp.charts.base_and_tuned(results.curves, "one", "third")


def test_a_table_without_rows_to_draw_is_refused(results: Results) -> None:
    correct = results.curves.filter(model="one", relevance="correct")
    for draw in (gp.charts.relevance, gp.charts.relevance_ratios, gp.charts.difference_by_layer):
        with pytest.raises(DataError, match="irrelevant responses"):
            draw(correct)
    with pytest.raises(DataError, match="two styles"):
        gp.charts.style_ratios(correct.filter(style="none"))
    with pytest.raises(DataError, match="correct responses"):
        gp.charts.curves(correct.clear())
    with pytest.raises(DataError, match="cosines of two responses"):
        gp.charts.alignment(results.spectra, kind="responses")
