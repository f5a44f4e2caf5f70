"""Guards for files from outside, which may be damaged or hostile.

``files``           ordinary files of a bounded size; no pipes, no devices
``limits``          how much of a data file is read
``parquet_footer``  a Parquet file's footer, checked before a reader trusts it
``gguf_header``     a GGUF file's header, checked before a reader trusts it
``yaml``            plain YAML values of a bounded size
"""
