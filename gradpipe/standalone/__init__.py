"""Extraction and ranking of a user's own examples, without Dagster and without a workspace.

In the order data flows: ``user_examples`` reads examples, ``example_runner`` runs them through a
model, ``extract_file`` and ``notebook`` compute their spectra, ``spectra_table`` gives these the
columns users see, and ``spectra_file`` reads them again. ``ranking`` scores and orders the
examples, ``extra_scores`` adds scores that are not statistics of one gradient, ``rank_file`` and
``rewrite_file`` write a ranked data file, ``correlate_file`` relates one of its columns to the
statistics, and ``output_file`` replaces files whole or not at all.
"""
