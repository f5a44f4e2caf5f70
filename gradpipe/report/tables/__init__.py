"""The report's tables: exact numbers for the CSV files, rounded ones for the page and LaTeX.

``table``     one table: its frame, headings and caption
``curves``    MAD, RD, base and tuned models, knowledge by length, cosines
``verdicts``  verdicts, and comparisons of styles with length held constant
``examples``  examples that were run, unusable examples, and the scores of each example
``discrimination``  how well responses are distinguished, beside loss and length
``sets``      sets of examples: how diverse they are, and how their mean gradients compare
``decomposition``  why norms differ: the size of the tokens' gradients and their alignment
``spans``     parts of responses, contrasts of them, and trends along steps
``latex``     a table as LaTeX with booktabs, from the template ``table.tex.jinja``
``write``     all tables and their files
"""
