"""The Dagster code location: what `dagster dev` and `gradpipe ui` show."""

from assets.code_location import code_location
from assets.resources import Accelerator, WorkspaceResource

defs = code_location(Accelerator(), WorkspaceResource())
