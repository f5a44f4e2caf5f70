"""Responses of models as a data set that training libraries read: Parquet with a card.

``message_rows``   start here: responses as conversations, each with its provenance
``dataset_card``   the data set's README.md: what it holds and how it was made
``dataset_folder`` the folder with both
"""
