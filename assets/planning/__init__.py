"""What is stale, and what it costs to bring it up to date.

``versions``         what each table should be made from now
``plan``             the stages and partitions that are not current, in order
``status``           the state of every stage and partition
``costs``            tokens, time, memory and disk of what is missing
``generator_calls``  calls to a generator: planned, paid once, kept
``comparison``       the two sides of ``gradpipe compare``
"""
