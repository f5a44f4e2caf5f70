"""The report's sentences.

``findings``     what the verdicts say about each claim
``comparisons``  the words for comparisons of a study's own styles
``notes``        what the results say beside a verdict: size, verified responses, items needed
``discrimination``  how well single responses are distinguished, and what the gradient adds
``length_note``  how much of a difference between styles may be due to length
``spans``        answers after a chain of thought, thinking, and steps
``phrases``      ratios, intervals and counts as text, the same in every sentence
"""
