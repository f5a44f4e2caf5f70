"""Projections beyond the attention's go through every stage, by the names that the study gives."""

from pathlib import Path

import polars as pl

from gradpipe.statistics.detection.discrimination import BASELINES
from storage.workspace import Workspace
from tests.assets.conftest import run
from tests.conftest import study_of


def test_gate_up_and_down_go_through_to_the_report(home: Path, small_model: Path) -> None:
    names = ["q", "gate", "up", "down"]
    protocol = {"projections": names, "layer_names": {"q": "self_attn.q_proj"}}
    model = {"id": str(small_model), "name": "small", "layer_names": {"up": "mlp.up_proj"}}
    run(study_of(small_model, "mini_obscure", protocol=protocol, models=[model]))
    page = Workspace.current().report_page
    assert isinstance(page, Path)
    curves = pl.read_csv(page.parent / "tables" / "curves.csv")
    assert curves["projection"].unique(maintain_order=True).to_list() == names
    mad = pl.read_csv(page.parent / "tables" / "mad.csv")
    assert mad.columns[-4:] == names
    assert mad.select(pl.all_horizontal(pl.col(names).is_finite().all())).item()
    found = pl.read_csv(page.parent / "tables" / "discrimination.csv").drop("items")
    measured = found.select(pl.selectors.numeric())
    assert measured.columns[:6] == [f"auroc_{name}" for name in (*names, *BASELINES)]
    assert found["relevance"].unique().to_list() == ["irrelevant"]
    assert measured.select(pl.all_horizontal(pl.all().is_between(0, 1).all())).item()
