"""Measures gradpipe beside the naive method and beside the bare passes: ``python -m bench --help``.

Three methods on the same tokens, in one run: gradpipe's own extraction (``ours``), weight gradients
and full singular value decompositions one example at a time (``naive``), and the model's forward
and backward passes alone, below which no method can go (``bare``).
"""
