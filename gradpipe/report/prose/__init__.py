"""The report's sentences.

``findings``     what the verdicts say about each claim
``length_note``  how far length may explain a difference between styles
``phrases``      ratios, intervals and counts as text, the same in every sentence
"""
