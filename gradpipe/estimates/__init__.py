"""Estimates of the time, memory and disk space that gradients take.

In the order data flows: `model_shape` (a model's dimensions), `configurations` (shapes of existing
models), `costs` (arithmetic, memory and disk per text), `memory` (bytes per model and batch),
`calibration` (measured speed of a few batches), `prices` (costs per model and benchmark),
`hypothetical` (models and GPUs that need not exist here) and `format` (estimates as text).

`calibration`, `prices` and `configurations` import torch; the others do not.
"""
