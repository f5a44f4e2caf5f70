"""The packages ``assets`` and ``storage`` under names of gradpipe's own, for other projects.

``gradpipe.pipeline.assets`` is a second import of the package ``assets``, and everything that it
imports is below ``gradpipe.pipeline`` as well. So a project whose own modules are called ``assets``
or ``storage`` can use both in one process, in whatever order they are imported. ``gradpipe`` itself
has its command line import the packages under their short names.
"""

import sys

from gradpipe.pipeline.renaming import RenamingFinder

if not any(isinstance(finder, RenamingFinder) for finder in sys.meta_path):
    sys.meta_path.insert(0, RenamingFinder())
