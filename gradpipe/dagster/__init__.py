"""gradpipe inside another Dagster project: a function and a component that build definitions.

::

    import dagster as dg
    from gradpipe.dagster import build_study_definitions

    defs = dg.Definitions.merge(
        dg.Definitions(assets=[...]), build_study_definitions("study.yaml", pool="gpu")
    )

It is the door to the package ``assets`` above the library: names are imported at their first use,
under names that collide with no module of the project (``gradpipe.pipeline``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assets.study_component import StudyComponent as Study
    from assets.study_definitions import build_study_definitions

__all__ = ["Study", "build_study_definitions"]

#: The module that defines each name, and its name there.
_NAMES = {
    "Study": ("assets.study_component", "StudyComponent"),
    "build_study_definitions": ("assets.study_definitions", "build_study_definitions"),
}


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'gradpipe.dagster' has no attribute {name!r}")
    module, attribute = _NAMES[name]
    return getattr(import_module(f"gradpipe.pipeline.{module}"), attribute)


def __dir__() -> list[str]:
    return [*__all__]
