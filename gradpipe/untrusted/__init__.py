"""Guards for files from outside, which may be damaged or hostile.

``files``           ordinary files of a bounded size; no pipes, no devices
``limits``          how much of a data file is read
``compressed``      compressed text, unpacked up to the limit of a file
``arrow_messages``  the sizes in an Arrow file, checked before a reader unpacks it
``shared_texts``    texts that an Arrow table stores once and names many times
``parquet_footer``  a Parquet file's footer, checked before a reader trusts it
``gguf_header``     a GGUF file's header, checked before a reader trusts it
``terminal_text``   texts shown on a terminal, without control characters
``yaml``            plain YAML values of a bounded size
"""
