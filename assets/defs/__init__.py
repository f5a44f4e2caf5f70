"""Definitions that `dg scaffold defs` adds to this checkout; `definitions.py` loads all of them.

Each folder below has one component in its `defs.yaml`, for example a further study:
`dg scaffold defs gradpipe.dagster.Study NAME`.
"""
