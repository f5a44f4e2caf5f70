"""Gradient factors to numbers.

``sink``            takes the factors of each layer as the backward pass brings them
``workers``         the threads that compute spectra beside the passes
``spectrum``        singular values of DᵀX from X and D
``symmetric``       eigenvalues of symmetric matrices
``matmul``          matrix products in the precision that a result needs
``inner_products``  inner products of gradients, from their factors
``sketches``        random projections, from which cosines between rows are estimated
"""
