"""What a study says about itself at the top of its report."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

StudyTitle = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=150,
        description="The title of the report; by default the study's name.",
    ),
]
StudyDescription = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=1000,
        description="What the study asks, in a sentence or two below the report's title.",
    ),
]
