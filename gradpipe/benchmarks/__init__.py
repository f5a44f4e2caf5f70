"""Readers that convert a source into items; start at ``read``."""
