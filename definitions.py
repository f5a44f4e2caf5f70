"""The Dagster code location: what `dagster dev` and `gradpipe ui` show."""

import dagster as dg

from assets.accelerator import Accelerator
from assets.stages import STAGES

defs = dg.Definitions(assets=STAGES, resources={"accelerator": Accelerator()})
