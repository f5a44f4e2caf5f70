"""The doctor: checks of the machine and the study before a run.

`finding` holds what a check reports; the checks are in `device` (the accelerator), `room` (memory
and disks), `outside` (hub, packages, environment variables) and `study` (models and benchmarks).

Checks import third-party packages inside their functions: a package that is missing or broken is
then a finding, and does not stop the doctor.
"""
