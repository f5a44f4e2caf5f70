"""Sets of examples, from the sketches of their gradients.

example_sets      the diversity, the consensus and the mean gradient of each set
diversity         how many different directions a set of gradients has (Vendi score)
consensus         how far single gradients agree with the mean of their set
cosines           mean gradients of two sets, compared
tables            the tables of a report about sets
sketch_vectors    the gradient of an example as one vector, estimated from its sketches
target_alignment  cosines of examples with a small target set
diverse_subset    examples whose gradients point in many directions, chosen greedily
"""
