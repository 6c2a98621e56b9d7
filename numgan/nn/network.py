"""`Sequential`: layers in order over one parameter arena.

All parameters of a network live in one array `values` (…, P), their gradients in `grads`, what is kept but not trained
in `state`; layers hold reshaped views. An optimiser then walks flat memory, not a list of tensors.
"""

from __future__ import annotations

import contextlib
import math
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from numgan.errors import (
    ArgumentError,
    ArgumentTypeError,
    StateError,
    affordable,
    as_shape,
    flag,
    generator,
    instance,
    mapping,
    method_of,
    real_array,
    shown,
    whole,
)
from numgan.hints import Array, Config, DType, Named, Numbers, Rng, Shape
from numgan.names import SaysOurs, says_ours
from numgan.nn.activations import Sigmoid
from numgan.nn.buffers import samples_first
from numgan.nn.layer import Layer
from numgan.nn.losses import BinaryCrossEntropy, trusting
from numgan.nn.memory import zeros, zeros_like
from numgan.nn.plan import Plan
from numgan.tables import html_lines, html_table

if TYPE_CHECKING:
    from numgan.nn.calls import Call
    from numgan.nn.losses import Loss
    from numgan.nn.optimizers import Optimizer
    from numgan.nn.second_order import SecondOrder

PREDICT_ROWS = 256  # predict works through its input in blocks of this many rows
EXPECTED_REPLICAS = "None or a positive integer"
BOUND = ("_plans", "scratch", "_last", "_owner", "_lock", "_held_by")  # to a network's arrays and threads
PLANS_KEPT = 8  # a network forgets its oldest plans beyond this; whoever runs one holds it


class Sequential(SaysOurs):
    """Layers in order.

    layers    Layer objects, used by this network alone.
    shape     of an input: a number of features, (features,), or (channels, height, width).
    rng       numpy.random.Generator that draws the initial weights.
    dtype     "float32" (default) or "float64", for everything in the network.
    replicas  None, or R: a stack of R independent networks that run as one. Arrays then have a leading axis:
              parameters (R, n_out, n_in), data (R, batch, n); data without it is shared by all.
    name      for summaries and messages.

    Layers are named by kind and position, parameters by layer: "dense_1.weight".

    A network with a `Join` in it reads conditions besides its input. Calls take them by name, as many as input rows:
    predict(x, label=labels), labels (…, batch, *shape) as `conditions` has the shape, or (batch,) where that is (1,).

    Threads: calls that give new arrays or numbers (`predict`, `train_on_batch`, `copy`, `state_dict` …) wait for one
    another. `forward` and `backward` hand out buffers, which two threads cannot share: StateError. So is a call while
    `GAN.fit` trains the network in another thread. Copies share nothing.

    >>> network = Sequential([Dense(3), ReLU(), Dense(1)], shape=2, rng=rng)
    >>> network.predict(np.ones((4, 2))).shape
    (4, 1)
    >>> {name: a.shape for name, a in network.parameters().items()}
    {'dense_1.weight': (3, 2), 'dense_1.bias': (3,), 'dense_2.weight': (1, 3), 'dense_2.bias': (1,)}
    """

    def __init__(
        self,
        layers: Iterable[Layer],
        shape: int | Sequence[int],
        rng: Rng,
        dtype: DType = "float32",
        replicas: int | None = None,
        name: str = "network",
    ) -> None:
        instance("Sequential: name", name, str)
        rng = generator(f"{name[:80]}: rng", rng)
        try:
            layers = list(layers)
        except TypeError:
            raise ArgumentTypeError(f"{name[:80]}: layers must be Layer objects, got {shown(layers)}") from None
        self._assemble(layers, shape, rng, dtype, replicas, name)

    def _assemble(self, layers, shape, rng, dtype, replicas, name):
        """With rng None the values are left at zero, for a copy to fill."""
        if not _is_float(dtype):
            raise ArgumentError(f"{name}: dtype must be float32 or float64, got {shown(dtype)}")
        if not layers:
            raise ArgumentError(f"{name}: a network needs at least one layer")
        for i, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise ArgumentError(f"{name}: layers must be Layer objects, got {shown(layer)} at position {i}")
        self.layers, self.name, self.dtype = layers, name, np.dtype(dtype)
        self.replicas = () if replicas is None else (whole(f"{name}: replicas", replicas, 1, EXPECTED_REPLICAS),)
        named = []
        try:
            self._build(as_shape(f"{name}: shape", shape), named)
            for layer in self.layers if rng is not None else ():
                layer.initialize(rng)
        except BaseException:  # a network that cannot be leaves its layers free for another
            for layer in named:
                _release(layer)
            raise
        self._plans, self.scratch, self._last, self._owner = {}, WeakValueDictionary(), None, None
        self._lock, self._held_by = threading.RLock(), ""
        self._optimizer = self._loss = None

    def _build(self, shape, named):
        """Name the layers, chain their shapes, and lay their parameters out in the arenas. `named` gets the layers that
        have been given a name.
        """
        counts, self.shapes = {}, [shape]
        for layer in self.layers:
            if layer.name != type(layer).name:
                raise ArgumentError(f"{self.name}: layer '{layer.name}' already belongs to a network")
            kind = snake_case(type(layer).__name__)
            counts[kind] = counts.get(kind, 0) + 1
            layer.name = f"{kind}_{counts[kind]}"
            named.append(layer)
            self.shapes.append(as_shape(f"{layer.name}: the shape of its outputs", layer.build(self.shapes[-1])))
        self.conditions = conditions_of(self.name, self.layers)
        self.slices = _layout(self.layers, "shapes")
        self.state_slices = _layout(self.layers, "state_shapes")
        held = (2 * _length(self.slices) + _length(self.state_slices)) * math.prod(self.replicas)
        affordable(f"{self.name}: a network of these layers", held * self.dtype.itemsize)
        self.values = zeros((*self.replicas, _length(self.slices)), self.dtype)
        self.grads = zeros_like(self.values)
        self.state = np.zeros((*self.replicas, _length(self.state_slices)), self.dtype)
        self._attach()

    def _attach(self):
        """Hand the layers their views of the arenas."""
        for layer in self.layers:
            layer.attach(
                _views(self.values, self.slices, layer),
                _views(self.grads, self.slices, layer),
                _views(self.state, self.state_slices, layer),
            )

    @staticmethod
    def parameter_count(layers: Sequence[Layer], shape: int | Sequence[int]) -> int:
        """How many numbers, trained and kept, a network of these layers would hold; allocates nothing."""
        shape = as_shape("shape", shape)
        for layer in layers:
            shape = layer.build(shape)
        return sum(_count(layer.shapes, layer.state_shapes) for layer in layers)

    # -------------------------------------------------------------------------------------------------- running it

    def plan(
        self, batch: int, *, training: bool, backward: bool, input_gradient: bool = False, depth: int | None = None
    ) -> Plan:
        """The plan for a batch size and mode, made at first use and kept."""
        batch = whole(f"{self.name}: batch", batch)
        key = (batch, training, backward, input_gradient, depth)
        if key not in self._plans:
            self._plans[key] = Plan(
                self, batch, training=training, backward=backward, input_gradient=input_gradient, depth=depth
            )
            if len(self._plans) > PLANS_KEPT:
                self._plans.pop(next(iter(self._plans)))
        return self._plans[key]

    def forward(self, x: Numbers, training: bool = False, **conditions: Numbers) -> Array:
        """The output (…, batch, *shape) for x (…, batch, *shape). Borrowed: the next call overwrites it."""
        x, training = self.check_input(x), flag("forward: training", training)
        conditions = self.check_conditions(conditions, self.rows_of(x))
        with self.in_use(), np.errstate(all="ignore"):  # an overflow shows in what it gives
            self._own()
            plan = self.plan(self.rows_of(x), training=training, backward=True, input_gradient=True)
            np.copyto(self.samples_first(plan.x), x)
            self.fill_conditions(plan, conditions)
            plan.run_forward()
            self._last = plan
            return self.samples_first(plan.y)

    def backward(self, dy: Numbers) -> Array:
        """∂L/∂x (…, batch, *shape) for ∂L/∂y, after `forward`. Borrowed. After a training pass `grads` is set too."""
        plan = self._last
        if plan is None:
            raise StateError(f"{self.name}: backward needs a forward pass first")
        dy, buffer = real_array(f"{self.name}: dy", dy, self.dtype), self.samples_first(plan.dy)
        if dy.shape not in (buffer.shape, buffer.shape[len(self.replicas) :]):
            raise ArgumentError(f"{self.name}: dy has shape {dy.shape}, expected {buffer.shape}, that of the output")
        with self.in_use(), np.errstate(all="ignore"):
            self._own()
            np.copyto(buffer, dy)
            plan.run_backward()
            return self.samples_first(plan.dx)

    def _own(self):
        """Make this thread the one whose buffers `forward` and `backward` hand out, unless another's are in use."""
        thread = threading.current_thread()
        if self._owner not in (None, thread) and self._owner.is_alive():
            raise StateError(
                f"{self.name}: forward and backward hand out buffers, and those are in use by the thread "
                f"{shown(self._owner.name)}; use a copy of the network in each thread"
            )
        self._owner = thread

    @contextlib.contextmanager
    def in_use(self, by: str = "") -> Iterator[None]:
        """Keep other threads from using the network meanwhile: they wait, or get a StateError where `by` says who holds
        it, for what may take hours.
        """
        while not self._lock.acquire(timeout=0.05):
            if self._held_by:
                raise StateError(f"{self.name} is in use by {self._held_by} in another thread; use a copy of it")
        before, self._held_by = self._held_by, by or self._held_by
        try:
            yield
        finally:
            self._held_by = before
            self._lock.release()

    def predict(self, x: Numbers, **conditions: Numbers) -> Array:
        """The output for x in inference mode: a new array (…, rows, *shape), for any number of rows."""
        x = self.check_input(x)
        conditions = self.check_conditions(conditions, self.rows_of(x))
        rows, lead = self.rows_of(x), (slice(None),) * (x.ndim - 1 - len(self.shapes[0]))
        shape = (*self.replicas, rows, *self.shapes[-1])
        affordable(f"{self.name}: {rows:,} outputs", math.prod(shape) * self.dtype.itemsize)
        result = np.empty(shape, self.dtype)
        own = (slice(None),) * len(self.replicas)
        with self.in_use(), np.errstate(all="ignore"):
            for start in range(0, rows, PREDICT_ROWS):
                block = slice(start, start + PREDICT_ROWS)
                x_block = x[(*lead, block)]
                plan = self.plan(self.rows_of(x_block), training=False, backward=False)
                np.copyto(self.samples_first(plan.x), x_block)
                self.fill_conditions(plan, {k: c[(..., block, *self._all(k))] for k, c in conditions.items()})
                plan.run_forward()
                result[(*own, block)] = self.samples_first(plan.y)
        return result

    def samples_first(self, columns: Array) -> Array:
        """The public face of one of its buffers: the memory of (…, *shape, N) seen as (…, N, *shape)."""
        return samples_first(columns, self.replicas)

    def rows_of(self, x: Array) -> int:
        """How many samples an input or target (…, batch, *shape) holds."""
        return x.shape[-1 - len(self.shapes[0])]

    def check_input(self, x: Numbers) -> Array:
        """x as an array, or an error that says which layer expected what."""
        x, shape = real_array(f"{self.name}: input", x, self.dtype), self.shapes[0]
        axes = len(shape)
        lead = x.shape[: max(x.ndim - axes - 1, 0)]
        if x.ndim <= axes or x.shape[x.ndim - axes :] != shape or self.rows_of(x) == 0:
            raise ArgumentError(
                f"{self.name}: {type(self.layers[0]).__name__} '{self.layers[0].name}' expects {_in_words(shape)}, got "
                f"input of shape {x.shape}; expected (batch, {', '.join(map(str, shape))}) with a batch of at least 1"
            )
        if lead not in ((), self.replicas):
            raise ArgumentError(f"{self.name}: input shape {x.shape} has replicas {lead}, not {self.replicas}")
        return x

    def check_conditions(self, given: Mapping[str, Numbers], rows: int) -> Named:
        """name -> array (…, rows, *shape) of all that this network's conditions are to be, or an error."""
        wanted = ", ".join(f"{name}=…" for name in self.conditions) or "none"
        if given.keys() != self.conditions.keys():
            raise ArgumentError(f"{self.name}: expected the conditions {wanted}, got {', '.join(given) or 'none'}")
        return {name: self._check_condition(name, given[name], rows) for name in self.conditions}

    def _check_condition(self, name, given, rows):
        c, shape = real_array(f"{self.name}: {name}", given, self.dtype), self.conditions[name]
        if shape == (1,) and c.shape in ((rows,), (*self.replicas, rows)):
            c = c[..., None]
        if c.shape not in ((rows, *shape), (*self.replicas, rows, *shape)):
            raise ArgumentError(
                f"{self.name}: {name} has the shape {c.shape}, expected {(rows, *shape)}, one for each row of the input"
            )
        for layer in self.layers:
            layer.check_condition(name, c)
        return c

    def fill_conditions(self, plan: Plan | SecondOrder, conditions: Mapping[str, Array]) -> None:
        """Write arrays as of `check_conditions` to where a plan's layers read them."""
        for name, c in conditions.items():
            for buffer in plan.conditions[name]:
                np.copyto(self.samples_first(buffer), c)

    def _all(self, condition):
        """An index of everything of one sample's condition."""
        return (slice(None),) * len(self.conditions[condition])

    @property
    def logit_depth(self) -> int:
        """How many layers lead to the logit: all but a closing Sigmoid."""
        return len(self.layers) - isinstance(self.layers[-1], Sigmoid)

    # ------------------------------------------------------------------------------------------------- training it

    @says_ours
    def compile(self, optimizer: Optimizer, loss: Loss | None = None) -> None:
        """Set the optimiser, whose state this network then owns, and the loss (default: binary cross-entropy)."""
        loss = BinaryCrossEntropy() if loss is None else loss
        method_of(f"{self.name}: loss", loss, "a loss", "for_logits", "check_target", "value", "gradient", "accuracy")
        method_of(f"{self.name}: optimizer", optimizer, "an Optimizer", "attach", "step").attach(self)
        self._optimizer, self._loss = optimizer, loss

    def train_on_batch(self, x: Numbers, target: Numbers, **conditions: Numbers) -> tuple[Any, Any]:
        """One update on x (…, batch, *shape) and target (…, batch, n_out); returns (loss, accuracy).

        Both are of the batch before the update: floats, or arrays (R,) with replicas. A network that ends in
        Sigmoid takes its loss from the logit below it.
        """
        if self._optimizer is None:
            raise StateError(f"{self.name}: call compile(optimizer) before train_on_batch")
        x = self.check_input(x)
        conditions, depth = self.check_conditions(conditions, self.rows_of(x)), self.logit_depth
        if len(self.shapes[-1]) != 1:
            raise ArgumentError(f"{self.name}: a loss reads one axis of features, the output has {self.shapes[-1]}")
        with self.in_use(), np.errstate(all="ignore"):
            return self._train_on_batch(x, target, conditions, depth)

    def _train_on_batch(self, x, target, conditions, depth):
        plan = self.plan(self.rows_of(x), training=True, backward=True, depth=depth)
        loss = self._loss.for_logits() if depth < len(self.layers) else self._loss
        y = self.samples_first(plan.y)
        target, loss = loss.check_target(target, y.shape), trusting(loss)
        np.copyto(self.samples_first(plan.x), x)
        self.fill_conditions(plan, conditions)
        plan.run_forward()
        value, accuracy = loss.value(y, target), loss.accuracy(y, target)
        loss.gradient(y, target, out=self.samples_first(plan.dy))
        plan.run_backward()
        self._optimizer.step()
        return value, accuracy

    def after_update(self) -> list[Call]:
        """The calls that its layers make after every update of the parameters. `Optimizer.step` runs them; whoever
        changes parameters by other means does it here.
        """
        calls = [call for layer in self.layers for call in layer.after_update()]
        for call in calls:
            call.network = self.name
        return calls

    # ------------------------------------------------------------------------------------------------ its contents

    def parameters(self) -> Named:
        """name -> view (…, *shape) of every trainable parameter, in arena order."""
        return {f"{layer.name}.{k}": v for layer in self.layers for k, v in layer.params.items()}

    def gradients(self) -> Named:
        """name -> view of every parameter's gradient, as the last training pass left it."""
        return {f"{layer.name}.{k}": v for layer in self.layers for k, v in layer.grads.items()}

    def state_dict(self) -> Named:
        """name -> copy of every parameter and running statistic."""
        with self.in_use():
            return {k: v.copy() for k, v in self._entries().items()}

    def load_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        """Set every entry of `state_dict` from `arrays`; on any wrong name or shape nothing changes."""
        self.check_state_dict(arrays)
        with self.in_use():
            for name, view in self._entries().items():
                view[...] = arrays[name]

    def check_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        """Raise ValueError unless `arrays` has exactly the names and shapes of `state_dict`, and finite numbers."""
        entries, given = self._entries(), mapping(f"{self.name}: state", arrays).keys()
        missing, unknown = entries.keys() - given, given - entries.keys()
        if missing or unknown:
            raise ArgumentError(f"{self.name}: missing {shown(sorted(missing))}, unknown {shown(sorted(unknown))}")
        for name, view in entries.items():
            array = real_array(f"{self.name}: {name}", arrays[name], self.dtype)
            if array.shape != view.shape:
                raise ArgumentError(f"{self.name}: {name} has shape {array.shape}, expected {view.shape}")
            if name.endswith("running_variance") and array.min() < 0:
                raise ArgumentError(f"{self.name}: {name} must be at least 0, got {array.min()}")

    def _entries(self):
        state = {f"{layer.name}.{k}": v for layer in self.layers for k, v in layer.state.items()}
        return self.parameters() | state

    def copy(self, dtype: DType | None = None, replicas: int | None = None) -> Sequential:
        """A new network with the same values: in another dtype, or as a stack of `replicas` equal copies.

        Only a network without replicas of its own can be copied. The copy has no optimiser; `copy.deepcopy` and
        `pickle` keep the one that the network was compiled with, and its state.
        """
        if self.replicas:
            raise ArgumentError(f"{self.name}: a network of replicas cannot be copied")
        if dtype is not None and _is_float(dtype):
            for held in (self.values, self.state):
                real_array(f"{self.name}: its numbers in {np.dtype(dtype).name}", held, dtype)
        twin = self.blank(replicas, dtype)
        with self.in_use():
            twin.values[...], twin.state[...] = self.values, self.state
        return twin

    def blank(self, replicas: int | None, dtype: DType | None = None) -> Sequential:
        """A network of these layers with so many replicas, all its numbers zero, for a caller to set."""
        twin = Sequential.__new__(Sequential)
        layers = [copy_layer(layer) for layer in self.layers]
        twin._assemble(layers, self.shapes[0], None, dtype or self.dtype, replicas, self.name)
        return twin

    def shadow(self) -> Sequential:
        """This network once more, its parameters and state the very same memory, with gradients of its own: for a share
        of the gradient that is worked out apart and then added.
        """
        shadow = Sequential.__new__(Sequential)
        layers, replicas = [copy_layer(layer) for layer in self.layers], self.replicas[0] if self.replicas else None
        shadow._assemble(layers, self.shapes[0], None, self.dtype, replicas, self.name)
        shadow.values, shadow.state = self.values, self.state
        shadow._attach()
        return shadow

    def __getstate__(self):
        """For `copy` and `pickle`: everything but what is bound to this network's arrays, which the copy binds anew."""
        with self.in_use():
            state = {name: value for name, value in vars(self).items() if name not in BOUND}
            state |= {name: state[name].copy() for name in ("values", "grads", "state")}
            state["layers"] = [copy_layer(layer) for layer in self.layers]
            if self._optimizer:
                state["_optimizer"] = self._optimizer.free(), self._optimizer.state_dict()
        return state

    def __setstate__(self, state):
        replicas = state["replicas"][0] if state["replicas"] else None
        self._assemble(state["layers"], state["shapes"][0], None, state["dtype"], replicas, state["name"])
        for name in ("values", "grads", "state"):
            getattr(self, name)[...] = state[name]
        if state["_optimizer"]:
            optimizer, held = state["_optimizer"]
            self.compile(optimizer, state["_loss"])
            optimizer.load_state_dict(held)
        vars(self).update({name: value for name, value in state.items() if name not in vars(self)})

    def summary(self) -> str:
        """A table of layers, output shapes and parameter counts, as Keras prints it; returned as a string."""
        title, rows, total = self._summary()
        left, middle = (max(len(row[i]) for row in rows) + 3 for i in (0, 1))
        lines = [f"{a:<{left}}{b:<{middle}}{c:>12}".rstrip() for a, b, c in rows]
        rule = "─" * (left + middle + 12)
        return "\n".join([title, rule, lines[0], rule, *lines[1:], rule, total])

    def __repr__(self):
        return self.summary()

    def _repr_html_(self):
        """What a notebook shows: the same."""
        title, rows, total = self._summary()
        return "\n".join([html_lines(title), html_table(rows, left=(0, 1)), html_lines(total)])

    def _summary(self):
        """(a line above, the rows of the table and its head, a line below)."""
        rows = [row for layer, shape in zip(self.layers, self.shapes[1:], strict=True) for row in _rows(layer, shape)]
        trained, kept = self.values.shape[-1], self.state.shape[-1]
        stack = f" · {self.replicas[0]} replicas" if self.replicas else ""
        return (
            f"{self.name}: input {_batch(self.shapes[0])}, {self.dtype}{stack}",
            [("layer (type)", "output shape", "parameters"), *rows],
            f"{trained + kept:,} parameters: {trained:,} trained, {kept:,} kept",
        )

    def to_dict(self) -> dict[str, Any]:
        """The summary as JSON-ready values: of every layer, and of those inside it, name, kind, output shape and, where
        it has none inside, how many parameters.
        """
        layers = [row for pair in zip(self.layers, self.shapes[1:], strict=True) for row in _described(*pair)]
        about = {"name": self.name, "input": list(self.shapes[0]), "dtype": self.dtype.name, "layers": layers}
        return about | {"trained": self.values.shape[-1], "kept": self.state.shape[-1]}

    def config(self) -> Config:
        """What `from_config` needs to build the same architecture, as JSON-ready values."""
        return {
            "name": self.name,
            "shape": list(self.shapes[0]),
            "dtype": self.dtype.name,
            "replicas": self.replicas[0] if self.replicas else None,
            "layers": [[type(layer).__name__, layer.checked_config()] for layer in self.layers],
        }


def conditions_of(name: str, layers: Iterable[Layer]) -> dict[str, Shape]:
    """name -> shape of all conditions that layers read, or an error where one has two shapes."""
    return agreeing(name, (item for layer in layers for item in layer.conditions.items()))


def agreeing(name: str, conditions: Iterable[tuple[str, Shape]]) -> dict[str, Shape]:
    """name -> shape from pairs of them, or an error where one has two shapes."""
    found: dict[str, Shape] = {}
    for condition, shape in conditions:
        if found.setdefault(condition, shape) != shape:
            raise ArgumentError(f"{name}: the condition '{condition}' has two shapes, {found[condition]} and {shape}")
    return found


def copy_layer(layer: Layer) -> Layer:
    """The same layer without name and parameters, ready for another network."""
    twin = type(layer).__new__(type(layer))
    vars(twin).update(vars(layer))
    _release(twin)
    return twin


def _release(layer):
    """Take from a layer what a network has given it."""
    for attribute in ("name", "params", "grads", "state"):
        vars(layer).pop(attribute, None)


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


def _rows(layer, shape, within=""):
    """The rows of a summary for a layer and those inside it, each of which has its own count."""
    held = "" if layer.inside() else f"{_count(layer.shapes, layer.state_shapes):,}"
    yield f"{within}{layer.name.rpartition('.')[2]} ({layer.kind})", _batch(shape), held
    for inner, made in layer.inside():
        yield from _rows(inner, made, within + "  ")


def _described(layer, shape):
    """The same as JSON-ready values."""
    held = None if layer.inside() else _count(layer.shapes, layer.state_shapes)
    yield {"name": layer.name, "kind": layer.kind, "shape": list(shape), "parameters": held}
    for inner, made in layer.inside():
        yield from _described(inner, made)


def _is_float(dtype):
    """Whether it names float32 or float64, in this machine's byte order."""
    try:
        return np.dtype(dtype) in (np.dtype("float32"), np.dtype("float64")) and dtype is not None
    except Exception:  # NumPy has many ways to refuse what is no dtype
        return False


def _count(*shape_tables):
    return sum(math.prod(shape) for table in shape_tables for shape in table.values())


def _batch(shape):
    return f"(batch, {', '.join(map(str, shape))})"


def _in_words(shape):
    return f"{shape[0]} features" if len(shape) == 1 else f"images of (channels, height, width) {shape}"


def snake_case(name: str) -> str:
    """LeakyReLU -> leaky_relu, BatchNorm -> batch_norm, Conv2DTranspose -> conv2d_transpose."""
    return re.sub(r"(?:(?<=[a-z])|(?<=2D))(?=[A-Z])", "_", name.replace("LU", "lu")).lower()
