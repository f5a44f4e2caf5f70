"""One file per Dagster fault; each names the version in which it was seen.

``pool_slots``    waiting for a slot of the accelerator's pool
``pool_limits``   a pool's limit in a Postgres database
``killed_runs``   slots of runs whose process was killed
``interrupts``    Ctrl-C between two steps
``fatal_errors``  errors that should end a run at once, but arrive as text
"""
