"""The report's charts, one kind per question.

``kinds``            one file per kind of chart, and `gradpipe.charts`
``kind``             what a kind is: its drawing, its rows, and where it appears
``page_figure``      its place on the page; ``sections`` has the page's sections
``chart_files``      its image files; ``images`` draws them, by ``image_files`` in several processes
                     (``image_process``)
``notebook_tables``  what the functions of notebooks share
``parts``, ``curve_lines``, ``interval_dots``, ``step_axis``   what drawings share
``drawable_rows``    what selections of rows share
``thumbnail``        a small picture for Dagster's asset page

To add a chart, see ``kinds``.
"""
