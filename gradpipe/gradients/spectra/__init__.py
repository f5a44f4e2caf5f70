"""From gradient factors to numbers.

``sink``            collects the factors of each layer during the backward pass
``workers``         threads that compute spectra, on an accelerator in parallel to the passes
``spectrum``        singular values of DᵀX from X and D
``dense``           singular values of gradients that exist as matrices
``symmetric``       symmetric matrix products in blocks
``matmul``          matrix products in the precision that a result needs
``inner_products``  inner products of gradients, from their factors
``comparisons``     which gradients are compared, and at what cost
``sketches``        random projections, from which cosines between rows are estimated
``sizes``           constants that cost estimates use too
"""
