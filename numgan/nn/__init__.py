"""Networks: objects around kernels, in chapters of the same names.

Read in this order:

    layer        `Layer`, what a step of a network is; how to write one
    dense, activations, batch_norm, convolution, resampling, dropout, embedding, reshaping, joining,
    spectral_norm
                 the layers: which kernels they run
    buffers      the arrays of a layer, and how kernels are bound to them by the names of their arguments
    calls        a bound kernel: one line of a training step, and the step as a listing
    plan         a network at one batch size: buffers shared where they can be, calls in order
    second_order the passes of a gradient penalty: the gradient of a gradient
    network      `Sequential`: layers over one flat arena of parameters
    losses, rates, optimizers, initializers
    registry, model_file, torch_layout          what there is by name; models on disk; PyTorch's weights

A layer knows no batch size, a plan knows no mathematics, a network decides nothing while it runs. To add a layer, write
its kernels (`numgan.kernels`), the class in its chapter here, whose `__all__` names it, with a `config` if it has
settings, and mistakes to plant (`numgan.gradcheck.faults`). A new chapter is listed once, in `registry`; an optimiser
in `optimizers.OPTIMIZERS`.
"""
