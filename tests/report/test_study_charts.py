"""Charts of a study's results by name; those of stored results are drawn in tests/storage."""

import pytest

from gradpipe.errors import DataError
from gradpipe.report.study_charts import study_chart
from gradpipe.report.study_results import StudyResults
from gradpipe.studies.study import Study

STUDY = Study.model_validate({"models": ["demo"], "benchmarks": ["mini_maths"]})


@pytest.mark.parametrize("name", ["curves", "mad", "spectra", "examples", "token_losses"])
def test_a_model_without_results_is_named(name: str) -> None:
    with pytest.raises(DataError, match="no results of demo on mini_maths yet"):
        study_chart(StudyResults(STUDY, []), name, {"model": "demo", "benchmark": "mini_maths"})
