"""The address of the report's page, for Dagster's UI: browsers open no paths from a web page."""

from __future__ import annotations

import os

import dagster as dg

from gradpipe.studies.study import Study
from storage.names import slug
from storage.workspace import Workspace

#: Names the address of a page that is published elsewhere; {study} stands for the study's name.
REPORT_URL = "GRADPIPE_REPORT_URL"


#: Names the only workspace whose page is at that address; without it, every workspace's is.
SERVED_WORKSPACE = "GRADPIPE_SERVED_WORKSPACE"


def report_link(workspace: Workspace, study: Study) -> dg.MetadataValue[str]:
    """The page as a link, or as a path if no server is known to serve it."""
    served = os.environ.get(SERVED_WORKSPACE, str(workspace.root)) == str(workspace.root)
    if served and (url := os.environ.get(REPORT_URL)):
        return dg.MetadataValue.url(url.replace("{study}", slug(study.name)))
    return dg.MetadataValue.path(str(workspace.report_page))
