"""The report's tables: exact numbers for the CSV files, rounded ones for the page and LaTeX.

``table``     one table: its frame, and how the page and a paper show it
``curves``    MAD, RD, base against tuned models, knowledge by length, cosines
``verdicts``  verdicts, and comparisons of styles with length held constant
``examples``  what was run, what could not be used, and what each example measured
``latex``     a table as LaTeX with booktabs
``write``     all tables, and their files
"""
