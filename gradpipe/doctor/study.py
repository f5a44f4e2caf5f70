"""Check that the models and benchmarks of the study are available, without reading weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from gradpipe.benchmarks.read import source_version
from gradpipe.doctor.finding import Finding
from gradpipe.engines.connection import require_ray
from gradpipe.errors import GradpipeError
from gradpipe.models.fingerprint import pin
from gradpipe.models.source import resolve_model
from gradpipe.studies.model_config import ModelConfig
from gradpipe.studies.study import Study

SUBJECT = "study"


def examine_study(study: Study) -> Iterator[Finding]:
    """Report each unreachable model and benchmark, and the number of reachable ones."""
    models = {model.name: partial(_find, model) for model in study.models}
    benchmarks = {each.name: partial(source_version, each) for each in study.benchmarks}
    yield from _reached("model", models)
    yield from _reached("benchmark", benchmarks)
    if study.engine == "ray":
        yield from _reached("engine", {"ray": require_ray})


def _find(model: ModelConfig) -> None:
    pin(resolve_model(model.id, model.revision))


def _reached(kind: str, asked: Mapping[str, Callable[[], object]]) -> Iterator[Finding]:
    reached = []
    for name, ask in asked.items():
        try:
            ask()
        except GradpipeError as error:
            yield Finding(SUBJECT, "fault", f"{kind} {name}", str(error).rstrip("."))
        # A failure in one does not affect the others.
        except Exception as error:
            yield Finding(SUBJECT, "fault", f"{kind} {name}", f"{type(error).__name__}: {error}")
        else:
            reached.append(name)
    if reached:
        yield Finding(SUBJECT, "ok", f"{kind} {', '.join(reached)} can be reached")
    elif not asked:
        yield Finding(SUBJECT, "warning", f"it has no {kind}", "add one")
