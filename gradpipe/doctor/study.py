"""Check that the models and benchmarks of the study are available, without reading weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from gradpipe.benchmarks.read import source_version
from gradpipe.doctor.finding import Finding
from gradpipe.engines.connection import require_ray
from gradpipe.errors import GradpipeError
from gradpipe.studies.study import Study
from gradpipe.studies.study_models import find_study_model

STUDY = "study"


def examine_study(study: Study) -> Iterator[Finding]:
    """Report each unreachable model and benchmark, and the number of reachable ones."""
    models = {model.name: partial(find_study_model, study, model.name) for model in study.models}
    benchmarks = {config.name: partial(source_version, config) for config in study.benchmarks}
    yield from _availability("model", models)
    yield from _availability("benchmark", benchmarks)
    if study.engine == "ray":
        yield from _availability("engine", {"ray": require_ray})


def _availability(kind: str, checks: Mapping[str, Callable[[], object]]) -> Iterator[Finding]:
    """Run the check of each name: one finding per failure, and one of the available names."""
    available = []
    for name, check in checks.items():
        try:
            check()
        except GradpipeError as error:
            yield Finding(STUDY, "fault", f"{kind} {name}", str(error).rstrip("."))
        # A failure in one does not affect the others.
        except Exception as error:
            yield Finding(STUDY, "fault", f"{kind} {name}", f"{type(error).__name__}: {error}")
        else:
            available.append(name)
    if available:
        yield Finding(STUDY, "ok", f"available {kind}s: {', '.join(available)}")
    elif not checks:
        yield Finding(STUDY, "warning", f"the study has no {kind}", "add one")
