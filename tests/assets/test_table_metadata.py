"""The columns of tables and their first rows, as Dagster shows them."""

from typing import Any

import polars as pl
import pytest

from assets.running.instance import open_instance
from assets.stages import STAGES
from assets.table_metadata import column_schema
from storage.workspace import Workspace


def test_columns_have_types_that_fit_a_line_and_a_description_if_their_name_is_short() -> None:
    nested = pl.List(pl.Struct({f"field_{number}": pl.Float64 for number in range(20)}))
    schema = column_schema(pl.Schema({"key": pl.String(), "rows": nested}))
    key, rows = schema["dagster/column_schema"].columns
    assert (key.name, key.type) == ("key", "String")
    assert key.description
    assert rows.type.startswith("List(Struct(")
    assert len(rows.type) <= 60


@pytest.mark.usefixtures("done")
def test_every_materialization_has_numbers_to_plot_and_the_columns_of_its_table() -> None:
    workspace = Workspace.current()
    study = workspace.study()
    with open_instance(workspace) as instance:
        for stage in STAGES:
            records = instance.fetch_materializations(stage.asset.key, limit=1).records
            event: Any = records[0].asset_materialization
            shown: dict[str, Any] = {name: value.value for name, value in event.metadata.items()}
            schema = (
                shown.get("dagster/column_schema")
                or stage.asset.get_asset_spec().metadata["dagster/column_schema"]
            )
            partition = next(
                cell
                for cell in stage.partitions(study)
                if cell.benchmark in str(event.partition or "")
            )
            table = stage.files.table_of(workspace, partition)
            stored = table.read()
            optional = {"context"} - set(stored.columns)
            described = [column.name for column in schema.columns]
            assert sorted({*described} - optional) == sorted(stored.columns)
            assert shown["bytes"] >= len(workspace.files.read(table.path) or b"")
            if stage.name == "spectral_statistics":
                correct = stored.filter(relevance="correct", style="none")["nuclear_norm"]
                assert shown["nuclear_norm_none"] == pytest.approx(correct.mean(), abs=1e-4)
            if stage.name == "gradient_spectra":
                assert shown["unusable_share"] == 0
                assert shown["tokens_per_second"] > 0
