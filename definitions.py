"""The Dagster code location: what `dagster dev`, `dg dev` and `gradpipe ui` show."""

from pathlib import Path

import dagster as dg

from assets.code_location import code_location
from assets.resources import Accelerator, WorkspaceResource
from assets.study_attributes import current_study

_ADDED = Path(__file__).parent / "assets" / "defs"

defs = code_location(Accelerator(), WorkspaceResource(), shown=current_study())
if any(_ADDED.glob("[!_]*")):
    # Loading even an empty folder of components takes a third of a second.
    defs = dg.Definitions.merge(defs, dg.load_from_defs_folder(path_within_project=_ADDED))
