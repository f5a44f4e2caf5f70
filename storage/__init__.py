"""The workspace: a folder or an object store.

``workspace``     paths of all files of a workspace
``row_store``     append-only Parquet parts of rows with keys
``tables``        one Parquet file with the version of what it holds
``filesystem``    files of a workspace, local or in an object store (``objects``, ``columns``)
``checksums``     detects changes of a Parquet file since it was written
``stages``        the partitions and files of each stage
``integrity``     checks every file of a workspace
``names``         names of models and benchmarks as file names
``store_errors``  an object store's errors as one sentence with cause and remedy
"""
