"""The report's page: one HTML file that needs no network.

``render``  the page from its templates (``*.html.jinja``), styles and scripts
``text``    the page's sentences: names, findings, totals, choices, provenance
``charts``  the specifications that the script draws, and what can be chosen
``blocks``  numbers and texts in blocks that the browser unpacks when they are asked for
``pack``    a table as a short text: base85 of deflated columns
"""
