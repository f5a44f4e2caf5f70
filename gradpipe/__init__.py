"""What a training example does to a language model, layer by layer: gradients and their spectra.

The public API. Names are imported at their first use, so that ``import gradpipe`` costs nothing::

    import gradpipe as gp

    loaded = gp.load_model("demo")
    spectra = gp.extract_spectra(loaded.model, loaded.tokenizer, [("What is 6 × 7?", "42")])
    gp.charts.curves(gp.curves(spectra))

    ws = gp.Workspace()  # the results of `gradpipe run`
    ws.chart("curves")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradpipe.claims.comparison import compare
    from gradpipe.claims.inference.power import items_needed
    from gradpipe.claims.trends import trends
    from gradpipe.claims.verdicts import judge
    from gradpipe.gradients.protocol import Protocol
    from gradpipe.models.load import load_model
    from gradpipe.report.charts import kinds as charts
    from gradpipe.standalone.notebook import extract_spectra, rank
    from gradpipe.standalone.part_tables import expert_table, head_table
    from gradpipe.statistics.correlation import correlate
    from gradpipe.statistics.curves import curves
    from gradpipe.statistics.detection.added import added_discrimination
    from gradpipe.statistics.detection.discrimination import discrimination
    from gradpipe.statistics.differences import mad, relative_difference
    from gradpipe.statistics.sets.diversity import vendi_score
    from gradpipe.statistics.table import statistics_table
    from gradpipe.studies.load import load_study
    from gradpipe.training.batch_spectra import BatchSpectra
    from gradpipe.training.gradient_probe import GradientProbe
    from gradpipe.workspace import Workspace

__all__ = [
    "BatchSpectra",
    "GradientProbe",
    "Protocol",
    "Workspace",
    "added_discrimination",
    "charts",
    "compare",
    "correlate",
    "curves",
    "discrimination",
    "expert_table",
    "extract_spectra",
    "head_table",
    "items_needed",
    "judge",
    "load_model",
    "load_study",
    "mad",
    "rank",
    "relative_difference",
    "statistics_table",
    "trends",
    "vendi_score",
]

#: The module that defines each public name, in the order of the reference page.
PUBLIC = {
    "load_model": "gradpipe.models.load",
    "Protocol": "gradpipe.gradients.protocol",
    "extract_spectra": "gradpipe.standalone.notebook",
    "rank": "gradpipe.standalone.notebook",
    "expert_table": "gradpipe.standalone.part_tables",
    "head_table": "gradpipe.standalone.part_tables",
    "statistics_table": "gradpipe.statistics.table",
    "curves": "gradpipe.statistics.curves",
    "mad": "gradpipe.statistics.differences",
    "relative_difference": "gradpipe.statistics.differences",
    "discrimination": "gradpipe.statistics.detection.discrimination",
    "vendi_score": "gradpipe.statistics.sets.diversity",
    "correlate": "gradpipe.statistics.correlation",
    "added_discrimination": "gradpipe.statistics.detection.added",
    "load_study": "gradpipe.studies.load",
    "judge": "gradpipe.claims.verdicts",
    "items_needed": "gradpipe.claims.inference.power",
    "trends": "gradpipe.claims.trends",
    "compare": "gradpipe.claims.comparison",
    "GradientProbe": "gradpipe.training.gradient_probe",
    "BatchSpectra": "gradpipe.training.batch_spectra",
}
#: The module behind the public name ``Workspace``, which reads what the pipeline stored.
READER = "gradpipe.workspace"
#: The module behind ``gradpipe.Study``, the type of a Dagster component; no name of the public API.
DAGSTER = "gradpipe.dagster"


def __getattr__(name: str) -> Any:
    if name in PUBLIC:
        return getattr(import_module(PUBLIC[name]), name)
    if name == "charts":
        from gradpipe.system.extras import import_charts

        return import_charts()
    if name == "Workspace":
        return import_module(READER).Workspace
    if name == "Study":
        return import_module(DAGSTER).Study
    raise AttributeError(f"module 'gradpipe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC, "Study", "Workspace", "charts"])
