"""Models: from a name to modules whose gradients can be computed.

In the order data flows: `source` (hub id, folder, .gguf file or demo), `gguf` (conversion of
.gguf files), `files` (checks of weight files), `refusals` (unsupported models), `placement`
(devices and offloading), `load` (the model in memory), `fingerprint` (its identity in row keys),
`roles`, `layouts`, `probe` and `projections` (which linear layers are the projections),
`hardware` (names of devices) and `silence` (no progress bars from transformers).
"""
