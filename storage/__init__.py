"""The workspace: a folder or an object store.

``workspace``     paths of all files of a workspace
``row_store``     append-only Parquet parts of rows with keys (``parts``: their names and merges)
``tables``        one Parquet file with its rows and the version of its inputs
``locations``     opens a folder or URL, and chooses its filesystem
``filesystem``    the file operations of a workspace
``local_files``   these operations in a local folder
``object_store``  these operations in an object store (``object_reads``: reads of single columns)
``checksums``     detects changes of a Parquet file since it was written
``read_only``     opens a workspace to read its results
``workspace_view``  these results as Polars frames and charts: `gradpipe.Workspace`
``stages``        the partitions and files of each stage
``integrity``     checks every file of a workspace
``names``         names of models and benchmarks as file names
``store_errors``  an object store's errors as one sentence with cause and remedy
``concurrency``   many requests at a time
"""
