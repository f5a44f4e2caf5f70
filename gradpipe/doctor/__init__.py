"""The doctor: checks of the machine and the study before a run.

`finding` holds what a check reports; the checks are in `device` (the accelerator), `room` (memory
and disks), `outside` (hub, packages, environment variables) and `study` (models and benchmarks).
"""
