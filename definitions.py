"""The Dagster code location: what `dagster dev` and `gradpipe ui` show."""

from assets.accelerator import Accelerator
from assets.location import code_location

defs = code_location(Accelerator())
