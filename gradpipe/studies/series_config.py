"""The settings of a series: the checkpoints of a training run, or a hub model's revisions."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from pydantic import Field, field_validator, model_validator

from gradpipe.checkpoints.selection import StepRange
from gradpipe.errors import StudyError
from gradpipe.fields import Number
from gradpipe.studies.model_config import ModelConfig

#: Its steps' names are longer, and have to be file names.
_LONGEST_NAME = 100


class SeriesConfig(ModelConfig):
    """A series of models: the checkpoints in a folder, or the revisions of a hub model.

    Each checkpoint is a model of the study, named by the series and the step, such as ``sft@100``.
    The settings of single models apply to every checkpoint. ``id`` is a local folder, a URL such as
    ``s3://BUCKET/FOLDER``, or a hub id.
    """

    checkpoints: str | tuple[str, ...] | None = Field(
        default=None,
        description=(
            "The checkpoints in the folder: a pattern such as ``checkpoint-*``, or a list of "
            "names. New ones are noticed."
        ),
    )
    revisions: str | tuple[str, ...] | None = Field(
        default=None,
        description="The branches and tags of a hub model: a pattern such as ``step*``, or a list.",
    )
    first: Number | None = Field(
        default=None, ge=0, description="The first step to use; by default the lowest."
    )
    last: Number | None = Field(
        default=None, ge=0, description="The last step to use; by default the highest."
    )
    every: Number | None = Field(
        default=None, gt=0, description="Use only steps that are multiples of this number."
    )
    steps: dict[str, Number] = Field(
        default={},
        description=(
            "The step of each checkpoint by its name; by default the ``global_step`` of its "
            "``trainer_state.json``, or else the number in its name."
        ),
    )

    @classmethod
    def default_name(cls, value: dict[str, Any]) -> str:
        """The last part of the folder or hub id: ``sft`` for ``./runs/sft``."""
        identifier = str(value["id"])
        return PurePosixPath(identifier.replace("\\", "/")).name or identifier

    @field_validator("steps")
    @classmethod
    def _steps_from_zero(cls, value: dict[str, float]) -> dict[str, float]:
        if any(step < 0 for step in value.values()):
            raise ValueError("steps should be at least 0")
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> SeriesConfig:
        if (self.checkpoints is None) == (self.revisions is None):
            raise StudyError(
                f"The series {self.name!r} needs either `checkpoints` or `revisions`, not both."
            )
        if len(self.name) > _LONGEST_NAME:
            raise StudyError(
                f"The series {self.name[:40]!r}... has a name that is too long for its steps: give "
                f"a `name` of at most {_LONGEST_NAME} characters."
            )
        if self.revision is not None or self.series is not None or self.step is not None:
            raise StudyError(
                f"The series {self.name!r} has `revision`, `series` or `step`, which are settings "
                "of single models: remove them."
            )
        if self.first is not None and self.last is not None and self.first > self.last:
            raise StudyError(
                f"The series {self.name!r} starts at step {self.first:g} and ends at "
                f"{self.last:g}: exchange `first` and `last`."
            )
        return self

    @property
    def range(self) -> StepRange:
        """The steps that the series uses."""
        return StepRange(first=self.first, last=self.last, every=self.every)

    @property
    def wanted(self) -> str | tuple[str, ...]:
        """The pattern or the names of its checkpoints or revisions."""
        wanted = self.checkpoints if self.checkpoints is not None else self.revisions
        assert wanted is not None
        return wanted
