"""Build hook: a wheel carries the pipeline inside the package, away from site-packages' top level."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PIPELINE = ("assets", "storage", "definitions.py")


class PipelineHook(BuildHookInterface[Any]):
    """Puts the modules above the library into ``gradpipe/_pipeline``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a build; an editable one uses the checkout as it is."""
        if version != "editable":
            for name in PIPELINE:
                build_data["force_include"][name] = f"gradpipe/_pipeline/{name}"
