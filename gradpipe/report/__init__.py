"""The report: charts, tables and one page that shows what a study found."""

#: Part of the report's version: raise it when the same statistics should give another page.
REPORT_VERSION = "3"
