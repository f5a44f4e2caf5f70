"""The report's charts, one kind per question.

``kinds``      every kind of chart: how it is drawn and the rows that it draws
``curves``     drawings: a statistic by layer, ratios of two curves, MAD
``effects``    drawings: ratios with their intervals
``examples``   drawings: single examples, and the most extreme spectra
``parts``      panels, axes, legends and tooltips that the drawings share
``rows``       the rows of each kind, from tables of results
``static``     the charts of a report that become files
``images``     PNG and SVG files
``notebook``   the charts of notebooks, `gradpipe.charts`
``thumbnail``  a small picture for Dagster's asset page

To add a chart, see ``kinds``.
"""
