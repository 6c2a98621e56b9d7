"""The mathematics of numgan: every forward pass directly above its backward pass, derived line by line.

A kernel is a function on arrays. It knows no class, keeps no state and allocates nothing: it writes into the
buffers it is handed. Read from top to bottom, this file is a short course on backpropagation.

Conventions
    L       the loss, a scalar. `dy` means ∂L/∂y and has the shape of `y`.
    shapes  written without the leading axes: `x` is (batch, features), N is the batch, n the features. Any axes
            in front are independent replicas: (R, batch, features) with parameters (R, n_in, n_out).
    memory  any layout gives the same numbers; networks hand in arrays that are contiguous feature by feature
            (`plan.Plan` says why), and the timings quoted are of those.
    out     where the result goes. "May be x" says that the kernel can run in place.
    scalars (slopes, rates, ε) are 0-d arrays of the data's dtype: a Python float makes a small
            call 1.7 times as long, because NumPy has to convert it first.

Sources
    [GBC]   Goodfellow, Bengio & Courville, Deep Learning, MIT Press 2016.
    [IS]    Ioffe & Szegedy, Batch Normalization, 2015, arXiv:1502.03167.
    [KB]    Kingma & Ba, Adam, 2015, arXiv:1412.6980.
    [GAN]   Goodfellow et al., Generative Adversarial Nets, 2014, arXiv:1406.2661.
    [MHN]   Maas, Hannun & Ng, Rectifier Nonlinearities Improve Neural Network Acoustic Models, 2013.
"""
