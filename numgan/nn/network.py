"""`Sequential`: layers in order over one parameter arena.

All parameters of a network live in one array `values` (…, P), their gradients in `grads`, what is kept but not trained
in `state`; layers hold reshaped views. An optimiser then walks flat memory, not a list of tensors.
"""

import copy
import math
import re

import numpy as np

from numgan.nn.activations import Sigmoid
from numgan.nn.buffers import samples_first
from numgan.nn.layer import Layer
from numgan.nn.losses import BinaryCrossEntropy
from numgan.nn.plan import Plan

PREDICT_ROWS = 256  # predict works through its input in blocks of this many rows
PLANS_KEPT = 8  # a network forgets its oldest plans beyond this; whoever runs one holds it


class Sequential:
    """Layers in order.

    layers    Layer objects, used by this network alone.
    n_in      number of input features.
    rng       numpy.random.Generator that draws the initial weights.
    dtype     "float32" (default) or "float64", for everything in the network.
    replicas  None, or R: a stack of R independent networks that run as one. Arrays then have a leading axis:
              parameters (R, n_out, n_in), data (R, batch, n); data without it is shared by all.
    name      for summaries and messages.

    Layers are named by kind and position, parameters by layer: "dense_1.weight".
    """

    def __init__(self, layers, n_in, rng, dtype="float32", replicas=None, name="network"):
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise ValueError(f"{name}: dtype must be float32 or float64, got {dtype!r}")
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"{name}: rng must be a numpy.random.Generator, got {type(rng).__name__}")
        if not (isinstance(n_in, int) and n_in > 0):
            raise ValueError(f"{name}: n_in must be a positive integer, got {n_in!r}")
        if not layers:
            raise ValueError(f"{name}: a network needs at least one layer")
        if not all(isinstance(layer, Layer) for layer in layers):
            raise ValueError(f"{name}: layers must be Layer objects, got {layers!r}")
        if not (replicas is None or (isinstance(replicas, int) and replicas > 0)):
            raise ValueError(f"{name}: replicas must be None or a positive integer, got {replicas!r}")
        self.layers, self.name, self.dtype = list(layers), name, np.dtype(dtype)
        self.replicas = () if replicas is None else (replicas,)
        self._build(n_in)
        for layer in self.layers:
            layer.initialize(rng)
        self._plans, self._last = {}, None
        self._optimizer = self._loss = None

    def _build(self, n_in):
        """Name the layers, chain their widths, and lay their parameters out in the arenas."""
        counts, self.widths = {}, [n_in]
        for layer in self.layers:
            if layer.name != type(layer).name:
                raise ValueError(f"{self.name}: layer '{layer.name}' already belongs to a network")
            kind = _snake_case(type(layer).__name__)
            counts[kind] = counts.get(kind, 0) + 1
            layer.name = f"{kind}_{counts[kind]}"
            self.widths.append(layer.build(self.widths[-1]))
        self.slices = _layout(self.layers, "shapes")
        self.state_slices = _layout(self.layers, "state_shapes")
        self.values = np.zeros((*self.replicas, _length(self.slices)), self.dtype)
        self.grads = np.zeros_like(self.values)
        self.state = np.zeros((*self.replicas, _length(self.state_slices)), self.dtype)
        for layer in self.layers:
            layer.attach(
                _views(self.values, self.slices, layer),
                _views(self.grads, self.slices, layer),
                _views(self.state, self.state_slices, layer),
            )

    @staticmethod
    def parameter_count(layers, n_in):
        """How many numbers, trained and kept, a network of these layers would hold; allocates nothing."""
        for layer in layers:
            n_in = layer.build(n_in)
        return sum(_count(layer.shapes, layer.state_shapes) for layer in layers)

    # -------------------------------------------------------------------------------------------------- running it

    def plan(self, batch, *, training, backward, input_gradient=False, depth=None):
        """The plan for a batch size and mode, made at first use and kept."""
        key = (batch, training, backward, input_gradient, depth)
        if key not in self._plans:
            self._plans[key] = Plan(
                self, batch, training=training, backward=backward, input_gradient=input_gradient, depth=depth
            )
            if len(self._plans) > PLANS_KEPT:
                self._plans.pop(next(iter(self._plans)))
        return self._plans[key]

    def forward(self, x, training=False):
        """The output (…, batch, n_out) for x (…, batch, n_in). Borrowed: the next call overwrites it."""
        x = self.check_input(x)
        plan = self.plan(x.shape[-2], training=training, backward=True, input_gradient=True)
        np.copyto(self.samples_first(plan.x), x)
        plan.run_forward()
        self._last = plan
        return self.samples_first(plan.y)

    def backward(self, dy):
        """∂L/∂x (…, batch, n_in) for ∂L/∂y, after `forward`. Borrowed. After a training pass `grads` is set too."""
        plan = self._last
        if plan is None:
            raise RuntimeError(f"{self.name}: backward needs a forward pass first")
        dy = np.asarray(dy)
        buffer = self.samples_first(plan.dy)
        if dy.shape[-2:] != buffer.shape[-2:]:
            raise ValueError(f"{self.name}: dy has shape {dy.shape}, expected {buffer.shape}, that of the output")
        np.copyto(buffer, dy)
        plan.run_backward()
        return self.samples_first(plan.dx)

    def predict(self, x):
        """The output for x in inference mode: a new array (…, rows, n_out), for any number of rows."""
        x = self.check_input(x)
        rows = x.shape[-2]
        result = np.empty((*self.replicas, rows, self.widths[-1]), self.dtype)
        for start in range(0, rows, PREDICT_ROWS):
            block = x[..., start : start + PREDICT_ROWS, :]
            plan = self.plan(block.shape[-2], training=False, backward=False)
            np.copyto(self.samples_first(plan.x), block)
            plan.run_forward()
            result[..., start : start + PREDICT_ROWS, :] = self.samples_first(plan.y)
        return result

    def samples_first(self, columns):
        """The public face of one of its buffers: the memory of (…, n, N) seen as (…, N, n)."""
        return samples_first(columns, self.replicas)

    def check_input(self, x):
        """x as an array, or an error that says which layer expected what."""
        x = np.asarray(x)
        if x.ndim < 2 or x.shape[-1] != self.widths[0] or x.shape[-2] == 0:
            raise ValueError(
                f"{self.name}: {type(self.layers[0]).__name__} '{self.layers[0].name}' expects "
                f"{self.widths[0]} features, got {x.shape[-1] if x.ndim else 'a scalar'} (input shape {x.shape}; "
                f"expected (batch, {self.widths[0]}) with a batch of at least 1)"
            )
        if x.ndim > 2 and x.shape[:-2] != self.replicas:
            raise ValueError(f"{self.name}: input shape {x.shape} has replicas {x.shape[:-2]}, not {self.replicas}")
        if x.dtype.kind not in "fiub":
            raise ValueError(f"{self.name}: input dtype {x.dtype} is not a real number")
        return x

    @property
    def logit_depth(self):
        """How many layers lead to the logit: all but a closing Sigmoid."""
        return len(self.layers) - isinstance(self.layers[-1], Sigmoid)

    # ------------------------------------------------------------------------------------------------- training it

    def compile(self, optimizer, loss=None):
        """Set the optimiser, whose state this network then owns, and the loss (default: binary cross-entropy)."""
        optimizer.attach(self)
        self._optimizer, self._loss = optimizer, loss or BinaryCrossEntropy()

    def train_on_batch(self, x, target):
        """One update on x (…, batch, n_in) and target (…, batch, n_out); returns (loss, accuracy).

        Both are of the batch before the update: floats, or arrays (R,) with replicas. A network that ends in
        Sigmoid takes its loss from the logit below it.
        """
        if self._optimizer is None:
            raise RuntimeError(f"{self.name}: call compile(optimizer) before train_on_batch")
        x = self.check_input(x)
        depth = self.logit_depth
        plan = self.plan(x.shape[-2], training=True, backward=True, depth=depth)
        loss = self._loss.for_logits() if depth < len(self.layers) else self._loss
        y = self.samples_first(plan.y)
        target = loss.check_target(target, y.shape)
        np.copyto(self.samples_first(plan.x), x)
        plan.run_forward()
        value, accuracy = loss.value(y, target), loss.accuracy(y, target)
        loss.gradient(y, target, out=self.samples_first(plan.dy))
        plan.run_backward()
        self._optimizer.step()
        return value, accuracy

    # ------------------------------------------------------------------------------------------------ its contents

    def parameters(self):
        """name -> view (…, *shape) of every trainable parameter, in arena order."""
        return {f"{layer.name}.{k}": v for layer in self.layers for k, v in layer.params.items()}

    def gradients(self):
        """name -> view of every parameter's gradient, as the last training pass left it."""
        return {f"{layer.name}.{k}": v for layer in self.layers for k, v in layer.grads.items()}

    def state_dict(self):
        """name -> copy of every parameter and running statistic."""
        return {k: v.copy() for k, v in self._entries().items()}

    def load_state_dict(self, arrays):
        """Set every entry of `state_dict` from `arrays`; on any wrong name or shape nothing changes."""
        self.check_state_dict(arrays)
        for name, view in self._entries().items():
            view[...] = arrays[name]

    def check_state_dict(self, arrays):
        """Raise ValueError unless `arrays` has exactly the names and shapes of `state_dict`."""
        entries = self._entries()
        missing, unknown = entries.keys() - arrays.keys(), arrays.keys() - entries.keys()
        if missing or unknown:
            raise ValueError(f"{self.name}: missing {sorted(missing)}, unknown {sorted(unknown)}")
        for name, view in entries.items():
            if np.asarray(arrays[name]).dtype.kind not in "fiub":
                raise ValueError(f"{self.name}: {name} holds {np.asarray(arrays[name]).dtype}, expected real numbers")
            if np.shape(arrays[name]) != view.shape:
                raise ValueError(f"{self.name}: {name} has shape {np.shape(arrays[name])}, expected {view.shape}")

    def _entries(self):
        state = {f"{layer.name}.{k}": v for layer in self.layers for k, v in layer.state.items()}
        return self.parameters() | state

    def copy(self, dtype=None, replicas=None):
        """A new network with the same values: in another dtype, or as a stack of `replicas` equal copies.

        Only a network without replicas of its own can be copied. The copy has no optimiser.
        """
        if self.replicas:
            raise ValueError(f"{self.name}: a network of replicas cannot be copied")
        twin = Sequential(
            [copy_layer(layer) for layer in self.layers],
            self.widths[0],
            np.random.default_rng(0),
            dtype or self.dtype,
            replicas,
            self.name,
        )
        twin.values[...], twin.state[...] = self.values, self.state
        return twin

    def summary(self):
        """A table of layers, output shapes and parameter counts, as Keras prints it; returned as a string."""
        rows = [
            (f"{layer.name} ({type(layer).__name__})", f"(batch, {width})", _count(layer.shapes, layer.state_shapes))
            for layer, width in zip(self.layers, self.widths[1:], strict=True)
        ]
        head = ("layer (type)", "output shape", "parameters")
        left, middle = (max(len(r[i]) for r in [head, *rows]) + 3 for i in (0, 1))
        lines = [
            f"{a:<{left}}{b:<{middle}}{c if isinstance(c, str) else format(c, ','):>12}" for a, b, c in [head, *rows]
        ]
        trained, kept = self.values.shape[-1], self.state.shape[-1]
        stack = f" · {self.replicas[0]} replicas" if self.replicas else ""
        rule = "─" * (left + middle + 12)
        return "\n".join(
            [
                f"{self.name}: input (batch, {self.widths[0]}), {self.dtype}{stack}",
                rule,
                lines[0],
                rule,
                *lines[1:],
                rule,
                f"{trained + kept:,} parameters: {trained:,} trained, {kept:,} running statistics",
            ]
        )

    def config(self):
        """What `from_config` needs to build the same architecture, as JSON-ready values."""
        return {
            "name": self.name,
            "n_in": self.widths[0],
            "dtype": self.dtype.name,
            "replicas": self.replicas[0] if self.replicas else None,
            "layers": [[type(layer).__name__, layer.config()] for layer in self.layers],
        }


def copy_layer(layer):
    """The same layer without name and parameters, ready for another network."""
    twin = copy.copy(layer)
    for attribute in ("name", "params", "grads", "state"):
        vars(twin).pop(attribute, None)
    return twin


def _layout(layers, kind):
    """{(layer, name): slice} of the arena, in order."""
    slices, start = {}, 0
    for layer in layers:
        for name, shape in getattr(layer, kind).items():
            size = math.prod(shape)
            slices[layer.name, name] = slice(start, start + size)
            start += size
    return slices


def _length(slices):
    return max((s.stop for s in slices.values()), default=0)


def _views(arena, slices, layer):
    """name -> view of the arena with the parameter's own shape behind the replica axes."""
    shapes = layer.shapes | layer.state_shapes
    return {
        name: arena[..., s].reshape(*arena.shape[:-1], *shapes[name])
        for (owner, name), s in slices.items()
        if owner == layer.name
    }


def _count(*shape_tables):
    return sum(math.prod(shape) for table in shape_tables for shape in table.values())


def _snake_case(name):
    """LeakyReLU -> leaky_relu, BatchNorm -> batch_norm."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.replace("ReLU", "Relu")).lower()
