"""What a training example is before it becomes tokens: pairs, conversations, texts, ready ids.

``examples``      the kinds of examples
``think_blocks``  the marks of thinking, and a response divided into thinking and answer
``spans``         a response divided into named spans, and the tokens of each
``formats``       which columns of a table hold what, found from their names and values
"""
