"""Readers that normalise a source into items; ``read`` is the way in."""
