"""The location of the pipeline's packages: ``assets``, ``storage`` and ``definitions``.

In a checkout they are at the top of the repository. A wheel has them in ``gradpipe/_pipeline``,
since top-level modules with such common names would collide with others in site-packages.
"""

import sys
from pathlib import Path

import gradpipe

_IN_WHEEL = Path(gradpipe.__file__).parent / "_pipeline"


def pipeline_folder() -> Path:
    """The folder of the pipeline's packages."""
    return _IN_WHEEL if _IN_WHEEL.is_dir() else _IN_WHEEL.parents[1]


def add_pipeline_to_path() -> None:
    """Make the pipeline's packages importable in this process, before others of the same names.

    For processes of gradpipe's own; in those of others, ``gradpipe.pipeline`` has the packages.
    Does nothing in a checkout, where they are importable already.
    """
    if _IN_WHEEL.is_dir() and str(_IN_WHEEL) not in sys.path:
        sys.path.insert(0, str(_IN_WHEEL))
