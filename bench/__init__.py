"""Measure gradpipe against the naive method and the bare passes: ``python -m bench --help``.

One run times three methods on the same tokens: gradpipe's extraction (``ours``); weight gradients
and full singular value decompositions, one example at a time (``naive``); and the model's forward
and backward passes alone, the lower bound of any method (``bare``).
"""
