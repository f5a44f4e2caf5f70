"""Messages to a webhook: when a run fails, and when a report has news.

Set WEBHOOK_URL to an address that accepts ``{"text": ...}`` as JSON, as Slack's and Mattermost's
do. In a clone, copy this file to ``assets/defs``; elsewhere, merge its definitions with yours. For
e-mail, let ``post`` use smtplib, or see ``dg.make_email_on_run_failure_sensor``.
"""

import json
import os
import urllib.request

import dagster as dg

#: The key of the study's report: that of the workspace's own study, or [PREFIX, "report"].
REPORT = dg.AssetKey(os.environ.get("REPORT_KEY", "report").split("/"))


def post(text: str) -> None:
    """Send a message; raises OSError if nobody accepts it, which the sensor's tick then shows."""
    request = urllib.request.Request(
        os.environ["WEBHOOK_URL"],
        json.dumps({"text": text}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30):
        pass


@dg.run_failure_sensor(default_status=dg.DefaultSensorStatus.RUNNING)
def failure_message(context: dg.RunFailureSensorContext) -> None:
    """Say which run failed, on which partition, and why."""
    run = context.dagster_run
    partition = run.tags.get("dagster/partition", "the study")
    post(f"{run.job_name} of {partition} failed: {context.failure_event.message}")


@dg.asset_sensor(asset_key=REPORT, default_status=dg.DefaultSensorStatus.RUNNING)
def report_message(
    context: dg.SensorEvaluationContext, asset_event: dg.EventLogEntry
) -> dg.SkipReason:
    """Say that the report has changed, and where it is."""
    event = asset_event.asset_materialization
    metadata = event.metadata if event else {}
    if not metadata["computed"].value:
        return dg.SkipReason("The report was materialized again without a change.")
    missing = metadata["excluded_partitions"].value
    post(f"The report has changed: {metadata['page'].value}. Not in it yet: {missing}.")
    return dg.SkipReason("The message was sent.")


defs = dg.Definitions(sensors=[failure_message, report_message])
