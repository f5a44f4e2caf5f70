"""The doctor: checks of the machine and the study before a run.

`finding` holds what a check reports; the checks are in `device` (the accelerator), `room` (memory
and disks), `outside` (hub, packages, environment variables), `study` (models and benchmarks) and
`generator` (the server that writes responses).

Checks import third-party packages inside their functions: a package that is missing or broken is
then a finding, and does not stop the doctor.
"""
