"""The mathematics of numgan: every forward pass directly above its backward pass, derived line by line.

A kernel is a function on arrays. It knows no class, keeps no state and allocates nothing: it writes into the buffers it
is handed. The chapters, read in this order, are a short course on backpropagation:

    dense        y = W·[x; 1], and what the chain rule makes of a matrix product
    activations  elementwise functions: their gradients, read off their outputs
    batch_norm   when every sample of a batch depends on every other
    convolution  one dense layer at every position of an image: gather, product, scatter-add
    resampling   images made larger and smaller without weights
    dropout      a linear layer with a random mask, the same on the way back
    embedding    indices: a dense layer of columns that have a single one
    joining      two ways to one input, and the sum that makes of their gradients
    spectral_norm   weights divided by their largest singular value: the gradient of a quotient, and an envelope
    losses       where a backward pass begins
    penalties    the gradient of a gradient: a second derivative in three passes
    optimizers   what is done with a gradient, and with the weights that come of it

Conventions
    L        the loss, a scalar. `dy` means ∂L/∂y and has the shape of `y`.
    columns  samples are columns: x is (n, N), n features of N samples, and dy/dx is n rows of N numbers. Any axes in
             front are independent replicas: (R, n, N) with parameters (R, n_out, n_in + 1).
    ᵀ        a name that ends in ᵀ is the transpose of what it names, a view that the caller makes once: to make it at
             every call would take a tenth of a sine GAN's product.
    images   (…, C, H, W, N): channels, rows, columns, samples; as a matrix (…, C, H·W·N), whose rows are channels and
             whose positions count as samples.
    memory   any layout gives the same numbers; networks hand in C-contiguous arrays, and the timings quoted are of
             those.
    out      where the result goes. "May be x" says that the kernel can run in place.
    scalars  (slopes, rates, ε) are 0-d arrays of the data's dtype: a Python float makes a small call 1.7 times as
             long, because NumPy has to convert it first.
    scratch  `temp` and `temp2` have the data's shape and dtype, `mask` its shape and bool; `column` is (n, 1). What is
             in them before a call does not matter, and after it has no meaning.

To add a kernel, write it into the chapter it belongs to, forward above backward, with the derivation in the docstring,
shapes and source included; then the layer that binds it (`numgan.nn`), and mistakes that people make in it
(`numgan.gradcheck.faults`). The names of a kernel's arguments are its contract: a layer binds by them.

Sources
    [GBC]   Goodfellow, Bengio & Courville, Deep Learning, MIT Press 2016.
    [IS]    Ioffe & Szegedy, Batch Normalization, 2015, arXiv:1502.03167.
    [KB]    Kingma & Ba, Adam, 2015, arXiv:1412.6980.
    [GAN]   Goodfellow et al., Generative Adversarial Nets, 2014, arXiv:1406.2661.
    [DV]    Dumoulin & Visin, A guide to convolution arithmetic for deep learning, 2016, arXiv:1603.07285.
    [YFWC]  Yazıcı, Foo, Winkler et al., The Unusual Effectiveness of Averaging in GAN Training, 2019, arXiv:1806.04498.
    [M+]    Miyato et al., Spectral Normalization for Generative Adversarial Networks, 2018, arXiv:1802.05957.
    [MHN]   Maas, Hannun & Ng, Rectifier Nonlinearities Improve Neural Network Acoustic Models, 2013.
"""
