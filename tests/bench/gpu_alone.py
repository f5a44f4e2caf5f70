"""Run the GPU bench where only the packages that it is said to need can be imported."""

import runpy
import sys
from importlib.metadata import distribution, packages_distributions, requires
from typing import Any

from packaging.requirements import Requirement

#: What a machine with a GPU has, and what must be carried to it.
THERE = ("torch", "transformers", "numpy", "polars")
CARRIED = {"pydantic", "pydantic_core", "annotated_types", "typing_inspection", "psutil", "gguf"}


def needed(names: tuple[str, ...]) -> set[str]:
    """The names of distributions with all that they require, without extras."""
    found: set[str] = set()
    waiting = [Requirement(name) for name in names]
    while waiting:
        requirement = waiting.pop()
        name = requirement.name.lower().replace("_", "-")
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        waiting += map(Requirement, requires(name) or ())
    return found


class Narrow:
    """A finder that does not find the packages that are not ``allowed``."""

    def __init__(self, finder: Any, allowed: set[str]) -> None:
        self._finder, self._allowed = finder, allowed

    def find_spec(self, name: str, *places: Any) -> Any:
        top = name.partition(".")[0]
        allowed = top in self._allowed or top.startswith("_sysconfigdata")
        return self._finder.find_spec(name, *places) if allowed else None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)


def main() -> None:
    distribution("torch")
    distributions = needed(THERE)
    allowed = {"bench", "gradpipe", "packaging", *CARRIED, *sys.stdlib_module_names}
    allowed |= {
        package
        for package, names in packages_distributions().items()
        if any(name.lower().replace("_", "-") in distributions for name in names)
    }
    # Not of the bench: some version of the packages above brings them for its own command line.
    allowed -= {"click", "rich", "typer"}
    sys.meta_path[:] = [Narrow(finder, allowed) for finder in sys.meta_path]
    for name in ("dagster", "datasets", "altair", "click", "rich", "scipy", "accelerate"):
        try:
            __import__(name)
        except ModuleNotFoundError:
            continue
        raise AssertionError(f"{name} can be imported")
    sys.argv[:1] = ["bench"]
    runpy.run_module("bench", run_name="__main__")


if __name__ == "__main__":
    main()
