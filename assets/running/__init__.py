"""The command line's own way to run the pipeline.

``runner``           brings a study up to date and counts what was computed and reused
``interim_reports``  when a run reports on the partitions that are finished
``outcome``          counts and failures of a run
``run_times``        where the time of a run goes
``account``          counts, times and failures, for people and for programs
``instance``         the workspace's Dagster instance
``ui``               the Dagster UI on a workspace
``ports``            the port at which it listens
"""
