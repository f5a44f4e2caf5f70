"""Replace the series of a study by a model per step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from gradpipe.checkpoints.checkpoint import Checkpoint, StepRecord, step_model_name
from gradpipe.studies.model_config import ModelConfig
from gradpipe.studies.series_config import SeriesConfig
from gradpipe.studies.study import Study

#: What is the same for all steps of a series.
_SHARED = tuple(
    name
    for name in ModelConfig.model_fields
    if name not in {"id", "revision", "name", "series", "step"}
)


def series_of(study: Study) -> list[SeriesConfig]:
    """The series among the models as the study's author wrote them."""
    return [entry for entry in study.entries if isinstance(entry, SeriesConfig)]


def expand_series(
    study: Study, steps_of: Callable[[SeriesConfig], Iterable[Checkpoint | StepRecord]]
) -> Study:
    """Return the study with one model per step of each of its series.

    ``steps_of`` gives the steps of a series. The base of a series is a model of the study too. A
    model that the study lists itself takes precedence over a step or base of the same name. The
    result remembers its ``entries``.
    """
    own = {entry.name for entry in study.entries if not isinstance(entry, SeriesConfig)}
    models: dict[str, ModelConfig] = {}
    for entry in study.entries:
        for model in _models_of(entry, steps_of, own):
            models.setdefault(model.name, model)
    return study.with_models(tuple(models.values()))


def _models_of(
    entry: ModelConfig,
    steps_of: Callable[[SeriesConfig], Iterable[Checkpoint | StepRecord]],
    own: set[str],
) -> Iterator[ModelConfig]:
    if not isinstance(entry, SeriesConfig):
        yield entry
        return
    if entry.base is not None and entry.base not in own:
        yield ModelConfig(id=entry.base)
    for step in steps_of(entry):
        model = _model_of_step(entry, step)
        if model.name not in own:
            yield model


def _model_of_step(series: SeriesConfig, step: Checkpoint | StepRecord) -> ModelConfig:
    assert step.step is not None
    # Without validation, which would read a chat template's file once per step.
    model = ModelConfig.model_construct(
        **{name: getattr(series, name) for name in _SHARED},
        id=step.place,
        revision=step.revision,
        name=step_model_name(series.name, step.step),
        series=series.name,
        step=int(step.step) if step.step.is_integer() else step.step,
    )
    return model.at_checkpoint(step)
