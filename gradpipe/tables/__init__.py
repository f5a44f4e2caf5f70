"""Formats of table files: bytes become rows, and rows become bytes of the same format again.

``kinds``          the formats, by the extension of a name
``parts``          start here: the bytes of one or more files as one data frame
``streams``        the rows of a table in batches: start here for files that may be large
``line_streams``   JSON lines and CSV in batches
``column_streams`` Parquet and Arrow in batches
``text_encoding``  UTF-8 from what editors and spreadsheets write
``separators``     the character between the cells of a CSV file
``json_rows``      the shapes of JSON that hold rows
``arrow_rows``     Arrow and Parquet files as pyarrow tables, with all metadata
"""
