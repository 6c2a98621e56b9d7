"""`SpectralNorm`: a layer whose weights are divided by their largest singular value."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from numgan.errors import ArgumentError, ArgumentTypeError, shown
from numgan.hints import Config, Named, Rng, Rows, Shape
from numgan.kernels import spectral_norm as kernels
from numgan.nn.calls import Call, in_order
from numgan.nn.convolution import Conv2D, Conv2DTranspose
from numgan.nn.dense import Dense
from numgan.nn.layer import Layer
from numgan.nn.network import copy_layer

if TYPE_CHECKING:
    from numgan.nn.buffers import Buffers

__all__ = ["SpectralNorm"]

WRAPPED = {kind.__name__: kind for kind in (Dense, Conv2D, Conv2DTranspose)}
ROUNDS = 15  # of power iteration before the first pass, as in PyTorch


class SpectralNorm(Layer):
    """The wrapped layer with W̄ = W/σ(W) in place of its weights W, its bias as it is: Miyato et al. 2018,
    arXiv:1802.05957. SpectralNorm(Dense(64)), SpectralNorm(Conv2D(64, 4, 2, "same")).

    layer  a `Dense`, `Conv2D` or `Conv2DTranspose` that belongs to no network; it is taken as a description. A pair
           (name of its class, its settings), as `config` gives it, does as well.

    Parameters `weight` and `bias` are those of the wrapped layer: W, not W̄, is what is learnt and kept. State `u`
    (n_out,) and `v` (fan-in,): the unit vectors with σ = uᵀ·W·v. v is drawn from the network's generator, and 15 rounds
    of power iteration take both near the singular vectors; one more follows every update of the parameters, and what is
    done to them after it (clipping), none goes with a pass. So every pass between two updates, frozen or not, sees one
    and the same W̄, and a network that is not updated does not move. (PyTorch iterates in every pass in train mode.)

    >>> network = Sequential([SpectralNorm(Dense(8))], 8, rng, dtype="float64")
    >>> round(float(np.linalg.norm(network.predict(np.eye(8)), 2)), 1)  # the largest singular value of W̄
    1.0
    """

    reads_output = False
    linear = True  # in x, apart from the bias: as every layer that can be wrapped

    def __init__(self, layer: Layer | tuple[str, Config]) -> None:
        self.layer = _described(layer)

    def build(self, shape: Shape) -> Shape:
        self.original = copy_layer(self.layer)
        self.original.name = self.name
        outputs = self.original.build(shape)
        self.shapes = self.original.shapes
        n_out = outputs[0]
        fan_in = sum(map(math.prod, self.shapes.values())) // n_out - 1  # and a bias, for each output
        self.state_shapes = {"u": (n_out,), "v": (fan_in,)}
        return outputs

    def attach(self, params: Named, grads: Named, state: Named) -> None:
        # one with the network's arrays, which sets the starting values, and one that reads W̄ in place of W; new
        # ones, as copies of this layer may be attached elsewhere
        self.original, self.normalised = (copy_layer(self.original) for _ in range(2))
        self.original.name = self.normalised.name = self.name
        self.original.attach(params, grads, {})
        self.normalised.attach({name: np.zeros(a.shape, a.dtype) for name, a in params.items()}, grads, {})
        super().attach(self.original.params, self.original.grads, state)

    def initialize(self, rng: Rng) -> None:
        self.original.initialize(rng)
        v = self.state["v"]
        v[...] = rng.standard_normal(v.shape)
        with np.errstate(all="ignore"):
            for _ in range(ROUNDS):
                for call in self.after_update():
                    call.run()
        if not np.isfinite(v).all():
            raise ArgumentError(f"{self.name}: weights that start at zero have no norm to be divided by")

    def after_update(self) -> list[Call]:
        """A round of power iteration."""
        kernel, arrays = kernels.power_iteration, self._arrays()
        shapes = _scratch_shapes(arrays["weight"])
        arrays |= {name: np.empty(shapes[name], self.state["u"].dtype) for name in ("products", "norm")}
        return [Call(kernel, in_order(kernel, arrays), layer=self.name, direction="update")]

    def bind(self, io: Buffers) -> None:
        arrays, (normalised, bias) = self._arrays(), _blocks(self.layer, self.normalised.params)
        shapes = _scratch_shapes(normalised)
        arrays |= {name: io.scratch(name, shapes[name]) for name in ("products", "shares")}
        sigma = np.empty(shapes["norm"], normalised.dtype)
        io.forward(kernels.spectral_norm_forward, **arrays, sigma=sigma, out=normalised, out_bias=bias)
        self.normalised.bind(io)  # which writes dW̄ to where dW belongs
        if io.learning:
            arrays |= {"outer": io.scratch("outer", normalised.shape), "share": io.scratch("share", sigma.shape)}
        gradient, _ = _blocks(self.layer, self.grads)
        io.backward_parameters(
            kernels.spectral_norm_backward, **arrays, normalised=normalised, sigma=sigma, out=gradient
        )

    def _arrays(self):
        """Weights, bias and vectors as the kernels see them: views of the network's arrays."""
        weight, bias = _blocks(self.layer, self.params)
        *lead, blocks, _, k = weight.shape
        u, v = self.state["u"][..., None, :, None], self.state["v"].reshape(*lead, blocks, k, 1)
        return {"weight": weight, "weightT": weight.mT, "bias": bias, "u": u, "v": v}

    @property
    def kind(self) -> str:
        return f"SpectralNorm of {type(self.layer).__name__}"

    @classmethod
    def examples(cls) -> list[tuple[Layer, Shape]]:
        return [
            (cls(Dense(5)), (5,)),
            (cls(Dense(1)), (5,)),
            (cls(Conv2D(3, (2, 3), (2, 1), "same")), (2, 4, 3)),
            (cls(Conv2DTranspose(2, (2, 3), (2, 1), "same")), (3, 2, 3)),
        ]

    def plain(self, rows: Rows, training: bool) -> Rows:
        weight, u, v = self.params["weight"], self.state["u"].tolist(), self.state["v"].tolist()
        outputs = weight.swapaxes(0, 1) if isinstance(self.layer, Conv2DTranspose) else weight
        matrix = outputs.reshape(len(u), -1).tolist()
        sigma = math.fsum(a * w * b for a, ws in zip(u, matrix, strict=True) for w, b in zip(ws, v, strict=True))
        layer = copy_layer(self.original)
        layer.params = self.params | {"weight": weight / sigma}
        return layer.plain(rows, training)

    def config(self) -> Config:
        return {"layer": [type(self.layer).__name__, self.layer.checked_config()]}

    def __getstate__(self):
        """For `copy` and `pickle`: without the layers that `build` makes of the wrapped one."""
        return {name: value for name, value in vars(self).items() if name not in ("original", "normalised")}

    def __repr__(self):
        return f"SpectralNorm({self.layer!r})"


def _described(layer):
    """A layer of its own from what the constructor takes."""
    if isinstance(layer, list | tuple) and len(layer) == 2 and isinstance(layer[1], dict):
        kind, settings = layer
        layer = WRAPPED[kind](**settings) if isinstance(kind, str) and kind in WRAPPED else layer
    if type(layer) not in WRAPPED.values():
        raise ArgumentTypeError(f"SpectralNorm(layer) must be one of {', '.join(WRAPPED)}, got {shown(layer)}")
    if layer.name != type(layer).name:
        raise ArgumentError(f"SpectralNorm(layer): '{layer.name}' belongs to a network; wrap a layer of its own")
    return copy_layer(layer)


def _blocks(layer, arrays):
    """(W (…, B, n_out, k), b (…, n_out)) of weight and bias, or their gradients, in the layer's own shapes: views."""
    weight, bias = arrays["weight"], arrays["bias"]
    *lead, n_out = bias.shape
    blocks = weight.shape[len(lead)] if isinstance(layer, Conv2DTranspose) else 1
    return weight.reshape(*lead, blocks, n_out, -1), bias


def _scratch_shapes(weight):
    """name -> shape of what the kernels need beside W (…, B, n_out, k)."""
    *lead, blocks, n_out, _ = weight.shape
    return {"products": (*lead, blocks, n_out, 1), "shares": (*lead, blocks, 1, 1), "norm": (*lead, 1, 1, 1)}
