"""What the gradient adds to loss and length: planted signals, planted nothing, and few items."""

import sys
from typing import Any

import numpy as np
import polars as pl
import pytest

from gradpipe.errors import DataError, StudyError
from gradpipe.statistics.detection.added import ADDED_DISCRIMINATION_SCHEMA, added_discrimination

STATISTICS = ("nuclear_norm", "effective_rank")


def made_up(
    items: int, *, seed: int = 0, loss: float = 0.0, gradient: float = 0.0, layers: int = 4
) -> pl.DataFrame:
    """Responses of which the losses and the gradients differ by so many standard deviations.

    The loss of an irrelevant response is its own, its gradient is partly that of its text.
    """
    draw = np.random.default_rng(seed)
    donors = np.roll(np.arange(items), 1)
    of_text = draw.normal(size=(items, 2))
    parts = []
    for kind, texts in (("correct", np.arange(items)), ("irrelevant", donors)):
        is_first = float(kind == "irrelevant")
        size = (of_text[texts] + draw.normal(size=(items, 2))) / np.sqrt(2)
        size[:, 0] += gradient * is_first
        responses = pl.DataFrame(
            {
                "item": [f"item {i}" for i in range(items)],
                "donor_item_id": [f"item {i}" for i in texts] if is_first else [None] * items,
                "relevance": [kind] * items,
                "loss": 3 + loss * is_first + draw.normal(size=items),
                "response_tokens": draw.integers(5, 60, items),
            },
            schema_overrides={"donor_item_id": pl.String},
        )
        parts += [
            responses.with_columns(
                pl.lit(projection).alias("projection"),
                pl.lit(layer).alias("layer"),
                *(
                    pl.Series(name, np.exp(column + 0.1 * draw.normal(size=items)))
                    for name, column in zip(STATISTICS, size.T, strict=True)
                ),
            )
            for projection in "qv"
            for layer in range(layers)
        ]
    return pl.concat(parts)


def measured(table: pl.DataFrame, **options: Any) -> dict[str, Any]:
    return added_discrimination(table, STATISTICS, **options).row(0, named=True)


def test_a_planted_signal_apart_from_the_loss_is_found() -> None:
    row = measured(made_up(60, loss=1.0, gradient=2.0))
    assert (row["items"], row["reason"]) == (60, None)
    assert row["features"] == len(STATISTICS) * 2 * 3  # projections, segments
    assert row["gradient_low"] > 0.5
    assert row["both"] > max(row["baselines"], row["gradient"])
    assert row["added"] == pytest.approx(row["both"] - row["baselines"])
    assert row["added_low"] > 0
    for name in ("baselines", "gradient", "both", "added"):
        assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]


def test_the_same_seed_gives_the_same_result_whatever_the_order_of_rows() -> None:
    table = made_up(20, loss=1.0)
    one = added_discrimination(table, STATISTICS)
    other = added_discrimination(table.sample(fraction=1, shuffle=True, seed=1), STATISTICS)
    assert one.equals(other)


def test_fewer_than_sixteen_items_have_no_model_but_a_reason() -> None:
    row = measured(made_up(15, loss=1.0))
    assert row["reason"] == "15 items; 16 are needed"
    assert row["items"] == 15
    assert row["added"] is None
    assert row["baselines_low"] is None


def test_only_items_with_two_usable_responses_count() -> None:
    table = made_up(16).with_columns(
        pl.when((pl.col("item") != "item 3") | (pl.col("layer") != 2)).then("nuclear_norm")
    )
    without_loss = table.filter((pl.col("item") != "item 4") | (pl.col("relevance") == "correct"))
    assert measured(table)["items"] == 15
    assert measured(without_loss)["items"] == 14


def test_responses_of_one_kind_have_no_rows_in_the_model() -> None:
    table = made_up(5).filter(relevance="correct")
    found = added_discrimination(table, STATISTICS)
    assert found.is_empty()
    labels = [("model", pl.String), ("benchmark", pl.String), ("family", pl.String)]
    assert list(found.schema.items()) == [
        *labels,
        ("style", pl.String),
        *ADDED_DISCRIMINATION_SCHEMA.items(),
    ]


def test_statistics_that_contain_the_baselines_are_refused() -> None:
    table = made_up(5).with_columns(nuclear_norm_over_loss=1.0)
    with pytest.raises(StudyError, match="'nuclear_norm_over_loss'"):
        added_discrimination(table, ["nuclear_norm_over_loss"])
    with pytest.raises(StudyError, match="one or more"):
        added_discrimination(table, [])
    with pytest.raises(DataError, match="'response_tokens'"):
        added_discrimination(table.drop("response_tokens"), STATISTICS)
    with pytest.raises(DataError, match="holds an example twice"):
        added_discrimination(pl.concat([table, table]), STATISTICS)


def test_without_scikit_learn_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "gradpipe\[report\]"'):
        measured(made_up(16))


@pytest.mark.slow
def test_intervals_of_nothing_hold_chance() -> None:
    """The gradient's AUROC of 0.5 in 93 % or more of the sets; it adds something in 3 or fewer."""
    rows = [measured(made_up(24, seed=seed, loss=1.0)) for seed in range(100)]
    held = [row["gradient_low"] <= 0.5 <= row["gradient_high"] for row in rows]
    assert np.mean(held) >= 0.93
    assert np.mean([row["gradient"] for row in rows]) == pytest.approx(0.5, abs=0.03)
    assert sum(row["added_low"] > 0 for row in rows) <= 3
    # A gradient of noise costs little.
    assert np.mean([row["added"] for row in rows]) > -0.05
