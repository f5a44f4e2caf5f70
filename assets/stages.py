"""The stages of the pipeline, in an order in which every stage follows its inputs."""

from collections.abc import Iterator

from assets.benchmark_items import BENCHMARK_ITEMS
from assets.gradient_spectra import GRADIENT_SPECTRA
from assets.planning.versions import Stage
from assets.report import REPORT
from assets.responses import RESPONSES
from assets.spectral_statistics import SPECTRAL_STATISTICS

#: A new stage is a file in `assets/` and its entry here.
STAGES = (BENCHMARK_ITEMS, RESPONSES, GRADIENT_SPECTRA, SPECTRAL_STATISTICS, REPORT)


def stages_by_run() -> Iterator[tuple[Stage, ...]]:
    """The stages that one run computes together, run by run."""
    group: tuple[Stage, ...] = ()
    for stage in STAGES:
        if group and not stage.joins_upstream_run:
            yield group
            group = ()
        group += (stage,)
    yield group
