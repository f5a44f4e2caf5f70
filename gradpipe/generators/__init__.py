"""Responses written by a model; ``plan_calls`` and ``generate`` are the ways in."""
