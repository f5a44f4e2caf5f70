"""What Dagster shows: the five stages, and everything that runs them.

The stages, in the order in which they feed each other: ``benchmark_items``, ``responses``,
``gradient_spectra``, ``spectral_statistics``, ``report``.

``stage``                what all stages do: record results, retry transient failures
``checks``               the library's checks as Dagster's asset checks
``partitions``           benchmarks and models as dynamic partitions
``jobs``, ``automation`` the jobs, the sensor and the schedule
``resources``            the accelerator
``code_location``        all of these, as ``definitions.py`` loads them
``planning``             what is stale and what it costs
``running``              the command line's runner and Dagster instance
``dagster_workarounds``  one file per Dagster fault
"""
