"""Build hook: a wheel carries the pipeline's modules inside the package ``gradpipe``."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PIPELINE = ("assets", "storage", "definitions.py")


class PipelineHook(BuildHookInterface[Any]):
    """Put the modules above the library into ``gradpipe/_pipeline``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add them to a wheel; an editable installation uses the checkout."""
        if version != "editable":
            for name in PIPELINE:
                build_data["force_include"][name] = f"gradpipe/_pipeline/{name}"
