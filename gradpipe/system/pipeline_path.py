"""Where the pipeline's packages are: ``assets``, ``storage`` and ``definitions``.

In a checkout they lie at the top of the repository. A wheel carries them in ``gradpipe/_pipeline``,
since top-level modules of such common names would collide with other people's in site-packages.
"""

import sys
from pathlib import Path

import gradpipe

_IN_WHEEL = Path(gradpipe.__file__).parent / "_pipeline"


def add_pipeline_to_path() -> None:
    """Make the pipeline's packages importable in this process, before any others of their names.

    Does nothing in a checkout, where they are importable already.
    """
    if _IN_WHEEL.is_dir() and str(_IN_WHEEL) not in sys.path:
        sys.path.insert(0, str(_IN_WHEEL))
