"""One batch forward and backward, without ever forming a weight's gradient.

``batches``        which rows share a batch
``memory``         how much memory there is, and what a batch takes
``run_batch``      the passes of one batch
``loss``           cross-entropy over the response's tokens, in blocks of the vocabulary
``factors``        inputs X and output gradients D of each projection, taken by hooks
``replaced_forward``  a module computes something else while a block is open
``checkpointing``  activations computed twice instead of kept
``fast_linear``    matrix products by the faster library
``fused_blocks``   element-wise steps of gated MLPs in one
``nonfinite``      where a NaN or an infinity began
"""
