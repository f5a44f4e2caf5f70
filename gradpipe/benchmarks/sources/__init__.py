"""Where benchmarks come from, one file per source.

``mini``           gradpipe's own small sets
``paper_release``  the paper's published data (``release`` in a study)
``flan``           FLAN's chain-of-thought files
``hub``            data sets of the hub
``wikipedia``      pages of a Wikipedia snapshot; ``page_views`` finds popular ones
``user_files``     a user's own table (``files`` in a study)

To add a source, write a module with ``read(config)``, which returns the items as a frame, and
``content(config)``, which returns a text that changes when the data change; then name it in
``benchmarks/read.py`` and in ``Source`` of ``benchmarks/config.py``.
"""
