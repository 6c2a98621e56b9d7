"""Wrong on one of the paths that training takes, and right on the others."""

import numpy as np

from numgan import Dense, Tanh
from numgan.nn.layer import Layer
from tests.gradcheck.catalogue.entries import (
    ZEROS,
    Pointwise,
    Scale,
    X,
    network,
    wrong,
)
from tests.gradcheck.catalogue.wrong_claims import cube
from tests.gradcheck.catalogue.wrong_functions import _Loss

# ------------------------------------------------------------------------- paths that training takes, and others don't


@wrong("paths", "parameter gradient written on the way to the input, which a first layer never goes")
def _():
    class Late(Scale):
        def backward_parameters(self, x, y, dy):
            pass

        def backward_input(self, x, y, dy, out):
            np.sum(x * dy, axis=-2, out=self.grads["weight"])
            super().backward_input(x, y, dy, out)

    return {"subject": Late(), "x": X}


class _Bound(Layer):
    """A layer of kernels on columns: what subclasses say of it is wrong."""

    def bind(self, io):
        io.forward(self.up)
        io.backward(self.down)


@wrong("paths", "softmax over the features that calls itself featurewise")
def _():
    class Softmax(_Bound):
        featurewise = True

        @staticmethod
        def up(x, out):
            e = np.exp(x - x.max(axis=-2, keepdims=True))
            np.divide(e, e.sum(axis=-2, keepdims=True), out=out)

        @staticmethod
        def down(dy, y, out):
            out[...] = y * (dy - (y * dy).sum(axis=-2, keepdims=True))

    return {"subject": Softmax(), "x": X}


@wrong("paths", "featurewise, but every block takes the first block's weights")
def _():
    class Weighted(Layer):
        featurewise = True

        def build(self, shape):
            self.shapes = {"weight": shape}
            return shape

        def bind(self, io):
            def own(a):
                return a[..., : io.x.shape[-2], None]

            io.let(weight=own(self.params["weight"]), dweight=own(self.grads["weight"]))
            io.forward(lambda x, weight, out: np.multiply(x, weight, out=out))
            io.backward_parameters(lambda x, dy, dweight: np.sum(x * dy, axis=-1, keepdims=True, out=dweight))
            io.backward(lambda dy, weight, out: np.multiply(dy, weight, out=out))

    return {"subject": Weighted(), "x": X}


@wrong("paths", "centred over the features, and calls itself featurewise")
def _():
    class Centred(_Bound):
        featurewise = True

        @staticmethod
        def up(x, out):
            np.subtract(x, x.mean(axis=-2, keepdims=True), out=out)

        @staticmethod
        def down(dy, out):
            np.subtract(dy, dy.mean(axis=-2, keepdims=True), out=out)

    return {"subject": Centred(), "x": X}


class _Square(_Bound):
    @staticmethod
    def up(x, out):
        np.multiply(x, x, out=out)

    @staticmethod
    def down(dy, x, out):
        out[...] = 2 * x * dy


@wrong("paths", "works in place and reads its input, which is gone")
def _():
    class InPlace(_Square):
        in_place_forward = True

    return {"subject": InPlace(), "x": X}


@wrong("paths", "a network that begins with a layer that works in place and reads its input")
def _():
    class InPlace(_Square):
        in_place_forward = True

    return {"subject": network([InPlace(), Dense(3), Tanh()]), "x": X}


@wrong("paths", "reads its output and says it does not")
def _():
    class Exp(_Bound):
        reads_output = False

        @staticmethod
        def up(x, out):
            np.exp(x, out=out)

        @staticmethod
        def down(dy, y, out):
            np.multiply(dy, y, out=out)

    return {"subject": Exp(), "x": X}


@wrong("paths", "overwrites dy in place and reads it once more")
def _():
    class Twice(_Bound):
        in_place_backward = True

        @staticmethod
        def up(x, out):
            out[...] = x + np.sin(x)

        @staticmethod
        def down(dy, x, out):
            np.multiply(dy, np.cos(x), out=out)
            np.add(out, dy, out=out)

    return {"subject": Twice(), "x": X}


@wrong("paths", "a forward pass in place that reads x after writing")
def _():
    class Twice(_Bound):
        in_place_forward = True

        @staticmethod
        def up(x, out):
            np.sin(x, out=out)
            np.add(out, x, out=out)

        @staticmethod
        def down(dy, y, out):
            out[...] = dy * (1 + np.cos(_unsine(y)))

    return {"subject": Twice(), "x": 0.5 * X}


def _unsine(y):
    """x with x + sin x = y, by Newton's method."""
    x = y / 2
    for _ in range(30):
        x = x - (x + np.sin(x) - y) / (1 + np.cos(x))
    return x


@wrong("paths", "in float32 an ε that rounds to nothing")
def _():
    layer = Pointwise(lambda x: np.log(x * x + np.asarray(1e-60, x.dtype)),
                      lambda x: 2 * x / (x * x + np.asarray(1e-60, x.dtype)))  # fmt: skip
    return {"subject": layer, "x": np.where(ZEROS == 0, 1e-25, X)}


@wrong("paths", "in float32 another branch, with another slope")
def _():
    return cube(lambda x, dy: dy * (3 if x.dtype == np.float64 else 2) * x**2)


@wrong("paths", "a backward pass by differences of 1e-6, which float32 cannot take")
def _():
    return cube(lambda x, dy: dy * (np.exp(np.log(np.abs(x + 1e-6)) * 3) * np.sign(x) - (x - 1e-6) ** 3) / 2e-6)


@wrong("paths", "parameter gradient right for a batch of 5 alone")
def _():
    class Five(Scale):
        def backward_parameters(self, x, y, dy):
            np.sum(x * dy, axis=-2, out=self.grads["weight"])
            self.grads["weight"] *= 5 / x.shape[-2]

    return {"subject": Five(), "x": X}


@wrong("paths", "input gradient wrong for batches beyond 64")
def _():
    return cube(lambda x, dy: dy * 3 * x**2 * (1 if x.shape[-2] <= 64 else 0.5))


@wrong("paths", "input gradient wrong for a batch of one")
def _():
    return cube(lambda x, dy: dy * 3 * x**2 * (1 if x.shape[-2] > 1 else 2))


@wrong("paths", "parameter gradient from the first five rows")
def _():
    class Five(Scale):
        def backward_parameters(self, x, y, dy):
            np.sum((x * dy)[..., :5, :], axis=-2, out=self.grads["weight"])

    return {"subject": Five(), "x": X}


@wrong("paths", "odd batches lose their last row's gradient, and the batch given is even")
def _():
    def pairs(x, dy):
        dx = dy * 3 * x**2
        if x.shape[-2] % 2:
            dx[..., -1, :] = 0
        return dx

    return cube(pairs) | {"x": X[:4]}


@wrong("paths", "a custom layer that flattens its transposed view into a copy")
def _():
    class Copied(Scale):
        def backward_input(self, x, y, dy, out):
            out.reshape(-1)[...] = (dy * self.params["weight"]).reshape(-1)

    return {"subject": Copied(), "x": X}


@wrong("paths", "parameter gradient added up from pass to pass")
def _():
    class Adds(Scale):
        def backward_parameters(self, x, y, dy):
            self.grads["weight"] += np.sum(x * dy, axis=-2)

    return {"subject": Adds(), "x": X}


@wrong("paths", "a mask kept from the first pass")
def _():
    class Kept(Layer):
        mask = None

        def forward(self, x, out):
            self.mask = self.mask if self.mask is not None and self.mask.shape == x.shape else x > 0
            np.maximum(x, 0, out=out)

        def backward_input(self, x, y, dy, out):
            np.multiply(dy, self.mask, out=out)

    return {"subject": Kept(), "x": X}


@wrong("paths", "forward and backward return what they were to write")
def _():
    class Returns(Layer):
        def forward(self, x, out):
            return x**2

        def backward_input(self, x, y, dy, out):
            return 2 * x * dy

    return {"subject": Returns(), "x": X}


@wrong("paths", "between other layers, out is given another array in both passes")
def _():
    class Rebinds(Layer):
        def forward(self, x, out):
            out = x**2  # noqa: F841

        def backward_input(self, x, y, dy, out):
            out = 2 * x * dy  # noqa: F841

    return {"subject": network([Dense(3), Rebinds(), Dense(2)]), "x": X}


@wrong("paths", "the last column is written in neither pass")
def _():
    class Short(Layer):
        def forward(self, x, out):
            np.square(x[..., :-1], out=out[..., :-1])

        def backward_input(self, x, y, dy, out):
            np.multiply(2 * x[..., :-1], dy[..., :-1], out=out[..., :-1])

    return {"subject": Short(), "x": X}


@wrong("paths", "a loss returns its gradient, and leaves the array that training reads")
def _():
    class Returned(_Loss):
        def gradient(self, prediction, target, out=None):
            return self.claim(prediction - target)

    return {"subject": Returned(np.square, lambda d: 2 * d / d.size), "x": X, "target": np.zeros_like(X)}
