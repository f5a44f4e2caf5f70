"""Engines: where gradients are computed, in this process or on a Ray cluster.

In the order data flows: `settings` (a study's engine settings), `work` (the rows to compute),
`local` (one process), `cluster` (many processes), `connection` (the Ray cluster), `shards` (units
of work), `crew` (the actors of one model) and `actor` (the process that computes rows).
"""
