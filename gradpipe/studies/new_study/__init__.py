"""A new study, written as commented YAML for somebody who has not read the documentation.

``table_columns``  which columns of the user's table hold questions, answers and responses
``data_entry``     data that the user names as a benchmark of a study
``model_entry``    a model that the user names as an entry of a study
``text``           the study as commented YAML
``insertion``      a benchmark added to a study's text, with its comments kept
"""
