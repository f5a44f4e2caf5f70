"""Styles and relevances, and the examples they make of items; ``build`` is the way in."""
