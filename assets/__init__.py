"""The Dagster side: one file per stage, and everything that runs them.

The stages, each of which reads the one before: ``benchmark_items``, ``responses``,
``gradient_spectra``, ``spectral_statistics``, ``report``.

``stages``               the list of stages
``stage_run``            what all assets do: time, retries, check results, metadata
``run_tags``             tags of runs that change what assets do
``checks``               the library's checks as Dagster's asset checks
``partitions``           benchmarks and models as dynamic partitions
``jobs``, ``automation`` the jobs, the sensor and the schedule
``resources``            the workspace and the accelerator
``code_location``        all of these, as ``definitions.py`` loads them
``planning``             what is stale and what it costs
``running``              the command line's runner and Dagster instance
``dagster_workarounds``  one file per Dagster fault
"""
