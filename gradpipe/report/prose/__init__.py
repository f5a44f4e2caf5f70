"""The report's sentences.

``findings``     what the verdicts say about each claim
``discrimination``  how well single responses are distinguished, and what the gradient adds
``length_note``  how much of a difference between styles may be due to length
``phrases``      ratios, intervals and counts as text, the same in every sentence
"""
