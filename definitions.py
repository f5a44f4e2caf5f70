"""The Dagster code location: what `dagster dev` and `gradpipe ui` show."""

import dagster as dg

from assets.accelerator import Accelerator
from assets.automation import keep_up, nightly
from assets.jobs import benchmark_data, fill, model_gradients, report_page
from assets.stages import STAGES

defs = dg.Definitions(
    assets=STAGES,
    jobs=[benchmark_data, model_gradients, report_page, fill],
    sensors=[keep_up],
    schedules=[nightly],
    resources={"accelerator": Accelerator()},
    # A process for every stage would load dagster, and the model, once more each.
    executor=dg.in_process_executor,
)
