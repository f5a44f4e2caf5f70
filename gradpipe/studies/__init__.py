"""The study file: which models, benchmarks, styles and protocol.

``study``        the settings, their defaults and bounds
``model_config`` the settings of one model
``names``        names of models and benchmarks as parts of file names
``load``         reads a study and names its mistakes; writes one
``shipped``      the studies that come with gradpipe
``examples``     a study's choices applied to one of its benchmarks
``base_models``  which models of a study are tuned from which
``provenance``   what was run on what, for the report

The studies that ship lie here too: ``demo``, ``demo_generated``, ``paper``, ``quality`` and
``thinking``.
"""
