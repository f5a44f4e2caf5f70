"""Runs whose process was killed: mark them failed, and free the pool slots that they hold.

Dagster 1.13.27 frees a pool's slot, and a step's place in the queue for one, when the run ends. A
run that was killed never ends, so the next run would wait forever. Related upstream issues, of runs
that ended without freeing their slots: dagster-io/dagster 28456 and 32560.
"""

import dagster as dg

from gradpipe.system.atomic_files import is_gone, is_process_name, process_name

#: Every run has this tag; Dagster's UI hides tags of this namespace. Its value names the run beside
#: the process, since Dagster copies it to a run that is executed again.
_PROCESS = ".dagster/gradpipe_process_of_run"
#: The tags of runs of earlier versions, whose values are a process alone.
_EARLIER = (".dagster/gradpipe_process", "gradpipe/process")
#: The names of executors that run all steps of a run in the run's process.
_ONE_PROCESS = {"in_process", "execute_in_process_executor"}


def process_tag(run_id: str) -> dict[str, str]:
    """The tag that names this process as the one of a run."""
    return {_PROCESS: f"{process_name()}/{run_id}"}


def mark_process(context: dg.AssetExecutionContext) -> None:
    """Tag the current run with this process, so that later runs can detect that it was killed.

    Only if all its steps run in this process: a step's own process ends before the run does.
    """
    if context.job_def.executor_def.name not in _ONE_PROCESS:
        return
    tag = process_tag(context.run.run_id)
    if not tag.items() <= context.run.tags.items():
        context.instance.add_run_tags(context.run.run_id, tag)


def release_orphans(instance: dg.DagsterInstance) -> None:
    """Fail this machine's runs whose process is gone, and free the pool slots of finished runs."""
    unfinished = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
    for run in instance.get_runs(unfinished):
        process = _process_of(instance, run)
        # A name in another format was written by an earlier gradpipe, which no longer runs here.
        if process and (is_gone(process) or not is_process_name(process)):
            instance.report_run_failed(run, "The process of this run was killed.")
    pools = instance.event_log_storage
    for pool in pools.get_concurrency_keys():
        info = pools.get_concurrency_info(pool)
        waiting = {step.run_id for step in info.pending_steps}
        for holder in waiting | {slot.run_id for slot in info.claimed_slots}:
            held_by = instance.get_run_by_id(holder)
            if held_by is None or held_by.is_finished:
                pools.free_concurrency_slots_for_run(holder)


def _process_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """The name of the run's process, or None if it is not known yet.

    A run that is executed again starts with the tags of its parent, which may have been killed.
    """
    process, _, marked = run.tags.get(_PROCESS, "").partition("/")
    if marked == run.run_id:
        return process
    tag = next((tag for tag in _EARLIER if tag in run.tags), None)
    if tag is None:
        return None
    if run.parent_run_id is not None:
        parent = instance.get_run_by_id(run.parent_run_id)
        if parent is None or parent.tags.get(tag) == run.tags[tag]:
            return None
    return run.tags[tag]
