"""Styles and relevances, and the examples built from items; start at ``build``."""
