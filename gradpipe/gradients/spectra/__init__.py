"""From gradient factors to numbers.

``sink``              collects the factors of each layer during the backward pass
``workers``           threads that compute spectra, on an accelerator in parallel to the passes
``layer_jobs``        the jobs of a layer
``spectrum``          singular values of DᵀX from X and D
``eigen_strategies``  eigenvalues beside a GPU's passes: on the GPU, on the CPU's cores, on both
``eigen_chooser``     chooses among them by a trial on the first matrices
``expert_spectra``    the same for the experts of a mixture
``routing``           which token reached which expert
``head_spectra``      the same for single attention heads
``dense``             singular values of gradients that exist as matrices
``symmetric``         symmetric matrix products in blocks
``matmul``            matrix products in the precision that a result needs
``inner_products``    inner products of gradients, from their factors
``comparisons``       which gradients are compared, and at what cost
``sketches``          random projections, from which cosines between rows are estimated
``sizes``             constants that cost estimates use too
"""
