"""Find what is stale, and estimate the cost of bringing it up to date.

``versions``         stages, and the version that each of their tables should have now
``plan``             the stages and partitions that are not current, in order
``status``           the state of every stage and partition
``costs``            tokens, time, memory and disk space of missing rows
``generator_calls``  calls to a generator: each is paid for once, and its answer kept
``second_opinions``  calls to a judge, about responses in which the rules find no answer
``comparison``       the two sides of ``gradpipe compare``
"""
