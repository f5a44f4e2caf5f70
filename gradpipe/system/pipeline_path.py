"""The location of the pipeline's packages: ``assets``, ``storage`` and ``definitions``.

In a checkout they are at the top of the repository. A wheel has them in ``gradpipe/_pipeline``,
since top-level modules with such common names would collide with others in site-packages.
"""

import sys
from pathlib import Path

import gradpipe

_IN_WHEEL = Path(gradpipe.__file__).parent / "_pipeline"


def add_pipeline_to_path() -> None:
    """Make the pipeline's packages importable in this process, before others of the same names.

    Does nothing in a checkout, where they are importable already.
    """
    if _IN_WHEEL.is_dir() and str(_IN_WHEEL) not in sys.path:
        sys.path.insert(0, str(_IN_WHEEL))
