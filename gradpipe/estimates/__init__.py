"""Estimates: the time, memory and disk space that computing gradients takes.

In the order data flows: `model_shape` (a model's dimensions), `costs` (arithmetic, memory and disk
per text), `memory` (bytes per model and batch), `calibration` (measured speed of a few batches),
`prices` (costs per model and benchmark), `hypothetical` (models and GPUs that need not exist here)
and `format` (estimates as text).
"""
