"""The report: charts, tables and one page with a study's results."""

#: Part of the report's version: raise it if the same statistics should give another page.
REPORT_VERSION = "6"
