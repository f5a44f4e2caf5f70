"""The code location: all definitions that Dagster loads, in its own processes and in ours."""

import dagster as dg

from assets.automation import keep_up, nightly
from assets.benchmark_items import benchmark_items
from assets.gradient_spectra import gradient_spectra
from assets.jobs import benchmark_data, fill, model_gradients, report_page
from assets.report import report
from assets.resources import Accelerator
from assets.responses import responses
from assets.spectral_statistics import spectral_statistics


def code_location(accelerator: Accelerator) -> dg.Definitions:
    """Assets, jobs, sensor and schedule, with the accelerator that extractions use."""
    return dg.Definitions(
        assets=STAGES,
        jobs=[benchmark_data, model_gradients, report_page, fill],
        sensors=[keep_up],
        schedules=[nightly],
        resources={"accelerator": accelerator},
        # A process for every stage would load dagster, and the model, once more each.
        executor=dg.in_process_executor,
    )


STAGES = [benchmark_items, responses, gradient_spectra, spectral_statistics, report]
