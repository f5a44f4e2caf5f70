"""Forward and backward pass of one batch, without forming the gradients of weights.

``batches``           which rows share a batch
``limits``            shares of memory that a batch may take
``memory``            how much memory is free, and what a batch takes
``run_batch``         the passes of one batch
``span_passes``       one backward pass per span of a response, from one forward pass
``loss``              cross-entropy over response tokens, in blocks of the vocabulary
``factors``           hooks that take inputs X and output gradients D of each projection
``expert_factors``    the same for the experts and the router of a mixture
``replaced_forward``  replacement of modules' forward methods
``checkpointing``     activations recomputed instead of kept
``fast_linear``       linear layers by the faster matrix product
``fused_blocks``      norms and gated MLPs as single operations
``nonfinite``         where a NaN or an infinity first occurs
"""
