"""From examples to rows of gradient spectra; modules in the order in which data flows.

``protocol``  how an example becomes tokens and a loss
``chat_templates``  prompts as a tokenizer's chat template writes them
``tokens``    tokenization of texts, and the position where the response starts
``row_spans``  a row's loss divided into named spans, by the text of its response
``control_spans``  the first k tokens and k random ones, as controls for length
``examples``  extraction for the keyed examples of a workspace
``extract``   extraction for one model: token rows in, frames of spectra out
``loop``      batches through the model, as large as memory allows
``passes``    forward and backward pass of one batch: inputs X and output gradients D
``spectra``   singular values, cosines and sketches from X and D
``rows``      schema and keys of the rows
``row_identity``  the model's part of the keys, marked if earlier prompts were wrong
``checks``    whether the spectra of a partition are complete, finite and consistent
"""
