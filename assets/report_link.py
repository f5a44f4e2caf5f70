"""The address of the report's page, for Dagster's UI: browsers open no paths from a web page."""

from __future__ import annotations

import os

import dagster as dg

from assets.resources import WorkspaceResource
from gradpipe.studies.study import Study
from storage.names import slug
from storage.workspace import Workspace

#: Where `gradpipe ui` serves the files of the workspace's report.
SERVED_REPORT = "/gradpipe/report"
#: Names the address of a page that is published elsewhere; {study} stands for the study's name.
REPORT_URL = "GRADPIPE_REPORT_URL"


def report_link(
    resource: WorkspaceResource, workspace: Workspace, study: Study
) -> dg.MetadataValue[str]:
    """The page as a link, or as a path if no server is known to serve it.

    The link within `gradpipe ui` names no host and no port, so it stays right when those change.
    """
    if url := os.environ.get(REPORT_URL):
        return dg.MetadataValue.url(url.replace("{study}", slug(study.name)))
    if resource.served:
        return dg.MetadataValue.url(f"{SERVED_REPORT}/{workspace.report_page.name}")
    return dg.MetadataValue.path(str(workspace.report_page))
