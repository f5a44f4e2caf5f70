"""A code location with one study, for Docker."""

import os
from pathlib import Path

from gradpipe.dagster import build_study_definitions

defs = build_study_definitions(
    Path(__file__).with_name("study.yaml"), workspace=os.environ.get("STUDY_WORKSPACE")
)
