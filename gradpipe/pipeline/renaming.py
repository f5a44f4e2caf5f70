"""Import modules under another name, with their own imports renamed in the same way.

Names are replaced in the compiled code: source files and their cached bytecode are those of the
modules' short names.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

from gradpipe.system.pipeline_path import pipeline_folder

#: What the names of renamed modules start with.
PREFIX = "gradpipe.pipeline."
#: The packages that are imported under that prefix.
PIPELINE_PACKAGES = ("assets", "storage")


class RenamingFinder(MetaPathFinder):
    """Finds the pipeline's packages, and the modules in them, below ``PREFIX``."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module to import under the name ``fullname``, or None if it is another one."""
        name = fullname.removeprefix(PREFIX)
        if name == fullname or name.partition(".")[0] not in PIPELINE_PACKAGES:
            return None
        spec = PathFinder.find_spec(
            fullname, path if "." in name else [str(pipeline_folder())], target
        )
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _RenamingLoader(fullname, spec.loader.path)
        return spec


class _RenamingLoader(SourceFileLoader):
    """Loads a module whose imports of the pipeline's packages are renamed."""

    def get_code(self, fullname: str) -> CodeType | None:
        """The module's code, with the names that it imports replaced."""
        code = super().get_code(fullname)
        return code and rename_imports(code)


def rename_imports(code: CodeType) -> CodeType:
    """Put ``PREFIX`` before every import of a pipeline module in ``code`` and its functions.

    Only imports have names with a dot in compiled code. They have to name a module,
    as in ``from storage.tables import Table``: ``from storage import tables`` is not recognized.
    """
    return code.replace(
        co_names=tuple(
            PREFIX + name
            if name.startswith(tuple(f"{top}." for top in PIPELINE_PACKAGES))
            else name
            for name in code.co_names
        ),
        co_consts=tuple(
            rename_imports(const) if isinstance(const, CodeType) else const
            for const in code.co_consts
        ),
    )
