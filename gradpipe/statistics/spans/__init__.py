"""Spans: the parts of responses, such as thinking and answer, or steps, measured apart.

curves     curves of spans, as shares and by their own mean loss
contrasts  the same answer after other chains of thought, and parts of one response
steps      how a statistic changes along the steps of a chain
tables     the three together, for one model and benchmark
"""
