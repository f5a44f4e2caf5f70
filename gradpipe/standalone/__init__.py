"""Extraction and ranking of a user's own examples, without Dagster and without a workspace.

In the order data flows: ``user_examples`` reads examples, ``extract_file`` and ``notebook`` compute
their spectra, ``spectra_table`` gives these the columns users see, ``ranking`` scores and orders
the examples, ``rank_file`` and ``rewrite_file`` write a ranked data file, and ``output_file``
replaces files whole or not at all.
"""
