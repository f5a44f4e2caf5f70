"""The workspace: a folder or an object store.

``workspace``     what lies where
``row_store``     append-only Parquet parts of rows with keys
``tables``        one Parquet file with the version of what it holds
``filesystem``    files of a workspace, local or in an object store (``objects``, ``columns``)
``checksums``     whether a Parquet file is as it was written
``integrity``     whether every file of a workspace is
``names``         names of models and benchmarks as file names
``store_errors``  an object store's errors as one sentence with cause and cure
"""
