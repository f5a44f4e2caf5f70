"""The report's charts, one function per question that a chart answers.

``curves``     a statistic by layer, and the ratios of two curves
``effects``    ratios with their intervals, and what length explains of them
``examples``   single examples: size against length, and the most extreme spectra
``parts``      panels, axes, legends and tooltips that the charts share
``static``     each chart with its rows, for files
``images``     PNG and SVG files
``thumbnail``  a small picture for Dagster's asset page

To add a chart, write its function in the file of its question. Name it in ``report/page/charts.py``
to show it on the page, and in ``static.py`` to save it as a file.
"""
