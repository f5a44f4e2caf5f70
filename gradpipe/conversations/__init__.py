"""What a training example is before it becomes tokens: pairs, conversations, texts, ready ids.

``examples``      the kinds of examples
``think_blocks``  the marks of thinking, and a response divided into thinking and answer
``generated_text``  what a model generated, divided into its thinking and its answer
``formats``       which columns of a table hold the examples, and in which form
``read_examples`` the rows of a table as examples, with the help of one file per form:
                  ``messages`` and ``sharegpt``, ``completions``, ``token_columns``; and
                  ``row_settings``, what a row gives beside its messages
``spans``         a response divided into named spans, and the tokens of each
"""
