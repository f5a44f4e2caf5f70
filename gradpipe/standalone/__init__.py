"""Extraction and ranking of a user's own examples, without Dagster and without a workspace.

In the order data flows. ``data_source`` names the data, ``data_stream`` and ``hub_download`` read
them as a stream, ``user_examples`` and ``example_chunks`` make examples of them. ``run_plan`` finds
out how many are to be computed, ``example_runner`` runs them through a model, ``chunk_gradients``
does so for a chunk, here or on an engine, and ``kept_rows`` keeps finished rows under
``example_keys``. ``extraction_run`` writes their spectra: ``spectra_table`` gives these the columns
users see, ``spectra_writer`` and ``shard_files`` write them, ``spectra_file`` and ``spectra_rows``
read and check them, ``merge_parts`` joins tables. ``ranking_run`` scores examples: ``scored_rows``
and ``extra_scores`` are what it keeps of them, ``ranking`` and ``rank_examples`` order them, and
``rank_file``, ``rewrite_file`` and ``rewrite_stream`` write a ranked data file. ``correlate_file``
relates a column to the statistics, ``look`` shows data, ``notebook`` is the API for notebooks, and
``output_file`` replaces files whole or not at all.
"""
