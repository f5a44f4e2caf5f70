"""Whether the models and data of a study are there: all at once, before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from gradpipe.benchmarks.config import SOURCES_BY_NAME, BenchmarkConfig
from gradpipe.benchmarks.fetch import is_remote
from gradpipe.benchmarks.read import read_items, source_version
from gradpipe.errors import GradpipeError, StudyError
from gradpipe.models.source import resolve_model
from gradpipe.models.tokenizer_files import resolve_tokenizer
from gradpipe.studies.model_config import ModelConfig
from gradpipe.studies.paths import is_written_as_path
from gradpipe.studies.series_config import SeriesConfig
from gradpipe.studies.study import Study
from gradpipe.studies.study_models import find_study_model


def require_inputs(study: Study) -> None:
    """Raise StudyError, which names every model and benchmark that cannot be used.

    Nothing is asked over the network: of the hub's models and data sets, only the names are
    checked.
    """
    refuse_faults(study, list(input_faults(study)))


def refuse_faults(study: Study, faults: list[str]) -> None:
    """Raise StudyError if there are ``faults`` of the study's inputs."""
    if len(faults) == 1:
        raise StudyError(f"The study {study.name!r} cannot be run: {faults[0]}")
    if faults:
        reasons = f"The study {study.name!r} cannot be run for {len(faults)} reasons:"
        raise StudyError("\n  ".join([reasons, *faults]))


def input_faults(study: Study, *, thorough: bool = False) -> Iterator[str]:
    """Say, in a sentence each, which models and benchmarks of the study cannot be used.

    ``thorough`` also looks for models and data sets of the hub, reads the user's own tables, and
    looks into local models for all parts of their weights and a tokenizer. Steps of a series are
    left out: they were looked at when they were listed.
    """
    look_at_model = _find_model if thorough else _resolve_model
    look_at_benchmark = _read_benchmark if thorough else _find_benchmark
    for model in study.models:
        if model.series is None and not isinstance(model, SeriesConfig):
            yield from _fault("model", model.name, partial(look_at_model, study, model))
    for benchmark in study.benchmarks:
        # With the study's own styles, which decide what columns a table needs.
        config = study.benchmark(benchmark.name)
        yield from _fault("benchmark", benchmark.name, partial(look_at_benchmark, config))


def _fault(kind: str, name: str, look: Callable[[], object]) -> Iterator[str]:
    try:
        look()
    except GradpipeError as error:
        yield f"{kind} {name}: {error}"


def _resolve_model(study: Study, model: ModelConfig) -> None:
    # The base may be a step of a series, which only the workspace knows.
    base = next((one for one in study.models if one.name == model.base), None)
    given = (base.location, base.revision) if base is not None else None
    resolve_model(model.location, model.revision, base=given, adapter=model.adapter)
    if model.tokenizer is not None and is_written_as_path(model.tokenizer):
        resolve_tokenizer(model.tokenizer)


def _find_model(study: Study, model: ModelConfig) -> None:
    if model.base in {None, *(one.name for one in study.models)}:
        find_study_model(study, model.name)
    else:
        _resolve_model(study, model)


def _find_benchmark(config: BenchmarkConfig) -> None:
    SOURCES_BY_NAME[config.source].check_name(config.name)
    if is_local_data(config):
        source_version(config)


def _read_benchmark(config: BenchmarkConfig) -> None:
    if is_local_data(config):
        read_items(config)
    else:
        source_version(config)


def is_local_data(config: BenchmarkConfig) -> bool:
    """Whether a benchmark is read from files of this machine that a study names."""
    own_dataset = config.source == "hub" and not _is_known(config)
    return config.path is not None and not is_remote(config.path) and not own_dataset


def _is_known(config: BenchmarkConfig) -> bool:
    return config.name in SOURCES_BY_NAME[config.source].families
