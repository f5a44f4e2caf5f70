"""Examples to rows of gradient spectra, in the order in which data flows.

``protocol``  how an example becomes tokens and a loss
``tokens``    texts to token ids, and where the response begins
``examples``  the examples of a workspace as token rows
``loop``      batches of rows through the model, as large as memory allows
``passes``    one batch forward and backward: inputs X and output gradients D of each projection
``spectra``   X and D to singular values, cosines and sketches
``extract``   the whole way for one model: token rows in, frames of spectra out
``rows``      the schema of these frames, and the keys of rows
``checks``    whether a partition's spectra are complete, finite and consistent
"""
