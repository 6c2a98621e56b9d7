"""`Recorder`: runs a training step call by call, and records what every call did.

What a call writes is not written down anywhere but seen: an array that is another one after it, or is called `out`.
Names are those of the kernels' arguments.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.gan.fit import TrainingStep
from numgan.gan.penalty import REAL
from numgan.gan.steps import JOINT
from numgan.gradcheck.differences import quotient
from numgan.gradcheck.problems import discriminator_problems, generator_problem
from numgan.gradcheck.report import Report
from numgan.hints import Kernel, Rng, Source
from numgan.kernels import activations, dropout
from numgan.kernels.convolution import gather
from numgan.study.explain.record import Checked, Entry, Move, Part, Window, Worked, numbers

if TYPE_CHECKING:
    from numgan.gan.model import GAN
    from numgan.nn.calls import Call
    from numgan.nn.network import Sequential

KEPT = 64  # samples of which all numbers are kept
SMALL = 10_000  # parameters of a network of which every tensor's largest gradient is checked
TERMS = 3  # of a product's sum that are kept
# What the kernels' docstrings call scratch, where a call changes it; and constants of the data's shape.
SCRATCH = (
    *("temp", "temp2", "mask", "column", "row", "canvas", "products", "shares", "norm", "numbers", "following"),
    *("outer", "share"),
)
CONSTANTS = ("zeros", "ones")
OF_WEIGHTS = (  # words in the names of kernels that write no samples
    *("weight", "parameters", "sums", "spectral", "power", "running", "average", "clip", "add_gradient"),
)
ELEMENTWISE = (activations.__name__, dropout.__name__)  # chapters
BACKWARD, INPUT = "backward", "input gradient"


class Recorder:
    """A GAN in training, of which any step can be looked into.

    settings  with batch_size, discriminator_steps and generator_steps, as recipes have them.

    The steps are those of `GAN.fit` with the same random generator, where that draws its rows at random.
    """

    def __init__(self, gan: GAN, data: Source, settings: Any, rng: Rng) -> None:
        steps = settings.discriminator_steps, settings.generator_steps
        self.gan, self._step = gan, TrainingStep(gan, data, settings.batch_size, rng, *steps)
        self.rows, self.done = self._step.rows, 0

    @property
    def kernels(self) -> dict[str, Kernel]:
        """name -> every kernel of the step."""
        steps = [step for step in (self._step.discriminator, self._step.generator) if step]
        return {call.name: call.kernel for step in steps for call in step.calls}

    def train(self, steps: int) -> None:
        """Go on for so many training steps."""
        with self.gan.in_use(), np.errstate(all="ignore"):
            for _ in range(steps):
                self._step.run()
        self.done += steps

    def record(self, sample: int = 0, quotients: bool = True) -> list[Part]:
        """Run one more training step and tell of it: of the first step of either side, if there are several.

        quotients  whether to take the difference quotient of a gradient on either side, which takes a few passes in
                   float64. Default True.
        """
        parts, step = [], self._step
        with self.gan.in_use(), np.errstate(all="ignore"):
            for i in step.discriminator_steps:
                real, conditions = step.split(step.real.next())
                inputs = real, step.noise.next(), step.mix and step.mix.next(), conditions
                if i:
                    step.discriminator.run(*inputs)
                else:
                    parts.append(self._discriminator(sample, quotients, *inputs))
            for i in step.generator_steps:
                noise = step.generator_noise.next()
                real, conditions = step.split(step.generator_real.next()) if step.generator_real else (None, {})
                if i:
                    step.generator.run(noise, real, conditions)
                else:
                    parts.append(self._generator(sample, quotients, noise, real, conditions))
        self.done += 1
        return parts

    def _discriminator(self, sample, quotients, real, noise, mix, conditions):
        gan, step, problem = self.gan, self._step.discriminator, None
        due = step.penalty_due
        if quotients:
            wide = [np.array(a, np.float64) for a in (real, noise, np.zeros(len(real)) if mix is None else mix)]
            given = {name: np.array(c) for name, c in conditions.items()}
            problem = discriminator_problems(gan, *wide, given, Report("", 0.0), penalised=due)[0]
        step.fill(real, noise, mix, conditions)
        calls = [call for call in step.calls if due or not step.penalises(call)]
        if gan.penalty and not due:
            step.norms[...] = np.nan  # as the step itself leaves them
        walk = _Walk("discriminator", gan, sample, problem, step.penalises)
        entries = walk.run(calls, lambda call: self._samples(call, walk.updates, step))
        more = len(self._step.discriminator_steps) - 1
        notes = [f"{more} more discriminator steps like it follow, each on fresh rows"] if more else []
        if gan.schedule == JOINT:
            notes.append(f"rows 0 to {len(real) - 1:,} of its batch are real, those behind them are fakes")
        if not due:
            notes.append(f"the penalty is left out here: it is part of every {gan.penalty.every:,}th step")
        samples = {"real": np.array(real[:KEPT], np.float64).reshape(len(real[:KEPT]), -1)}
        return Part("discriminator", step.title, len(real), entries, "\n".join(notes), samples)

    def _generator(self, sample, quotients, noise, real, conditions):
        gan, step, problem = self.gan, self._step.generator, None
        if quotients:
            given = {name: np.array(c) for name, c in conditions.items()}
            wide = np.array(noise, np.float64), None if real is None else np.array(real, np.float64)
            problem = generator_problem(gan, *wide, given, Report("", 0.0))
        step.fill(noise, real, conditions)
        walk = _Walk("generator", gan, sample, problem, lambda call: False)
        entries = walk.run(step.calls, lambda call: len(noise))
        more = len(self._step.generator_steps) - 1
        note = f"{more} more generator steps like it follow, each on fresh noise" if more else ""
        features = math.prod(gan.discriminator.shapes[0])
        samples = {name: np.concatenate(found)[-features:, :KEPT].T for name, found in walk.ends.items()}
        return Part("generator", step.title, len(noise), entries, note, samples)

    def _samples(self, call, updates, step):
        """How many samples a call of the discriminator's step works on, after so many updates."""
        gan, rows = self.gan, self.rows
        wrong = rows if gan.matching_aware else 0
        if call.network == gan.generator.name:
            return rows
        if step.penalises(call):
            reals = gan.penalty.where.count(REAL)
            kinds = len(gan.penalty.where), len(gan.penalty.where)
            if gan.schedule != JOINT:
                kinds = reals, len(gan.penalty.where) - reals
            return rows * kinds[updates]
        return 2 * rows + wrong if gan.schedule == JOINT else rows + (wrong if updates else 0)


class _Walk:
    """Runs the calls of one side's step and makes the entries.

    problem    None, or the gradient-check `Problem` of the side's first update.
    penalises  whether a call is part of the penalty.
    updates    of the side's network so far.
    """

    def __init__(self, side, gan, sample, problem, penalises):
        self._side, self._sample, self._problem, self._penalises = side, sample, problem, penalises
        self._networks = gan.generator, gan.discriminator, gan.sampler
        self._optimizer = gan.generator_optimizer if side == "generator" else gan.discriminator_optimizer
        self._frozen = (gan.discriminator if side == "generator" else gan.generator).name
        self.updates, self._open = 0, {}
        self.ends = {}  # the generator's output and its gradient, as blocks

    def run(self, calls: list[Call], samples: Callable[[Call], int]) -> list[Entry]:
        """The entries of these calls; `samples` says how many samples a call works on."""
        entries, stretch = [], None
        for call in calls:
            if (call.network, call.direction) != stretch:  # blocks are of one network on one way
                stretch, self._open = (call.network, call.direction), {}
            key = call.layer, call.kernel, call.skipped, *_state_names(call, self._networks)
            mergeable = call.layer not in ("", "loss", "all parameters")
            entry = self._open.get(key) if mergeable else None
            if entry is None:
                entry = self._open[key] = self._entry(call)
                entries.append(entry)
            entry.calls += 1
            if call.run == self._optimizer.update:
                self._update(call, entry)
            elif not call.skipped:
                self._run(call, entry, samples(call))
        return entries

    def _entry(self, call):
        where = call.network, call.layer, call.direction, call.kernel
        shapes = "" if call.skipped else call.shapes.removesuffix(f", {call.block}" if call.block else "")
        frozen = call.network == self._frozen
        return Entry(self._side, *where, self._penalises(call), frozen, self.updates, call.skipped, shapes)

    def _run(self, call, entry, rows):
        """Run a call and note what it read and wrote. A name that is not `out` but lies in the same memory is what
        `out` was before.
        """
        arrays = _arrays(call)
        before, derivative = {name: a.copy() for name, a in arrays.items()}, _derivative(call)
        call.run()
        ends = {name: a for name, a in arrays.items() if name.startswith("out")}
        of_weights = any(word in entry.name for word in OF_WEIGHTS)
        for name, array in arrays.items():
            over = name not in ends and any(_same(array, end) for end in ends.values())
            written = name in ends or not (over or np.array_equal(array, before[name], equal_nan=True))
            if name in CONSTANTS or name.endswith("T") or (written and name in SCRATCH):
                continue
            own = name == "weight" or (written and of_weights) or _is_of(array, self._networks)
            told = array if written else before[name]
            self._note(entry.writes if written else entry.reads, name, told, array, 0 if own else rows)
        if derivative is not None:
            found = self._numbers("f′", derivative, rows)
            if entry.derivative:
                entry.derivative.join(found)
            else:
                entry.derivative = found
        if call.kernel is gather:
            entry.window = _window(call, self._sample)
        if self._side == "generator" and not of_weights and ends:
            self._keep(call, entry, next(iter(ends.values())), rows)
        if call.is_product and entry.worked is None:
            entry.worked = _worked(call, 0 if of_weights else self._sample)

    def _keep(self, call, entry, out, rows):
        """Keep what may be the generator's output, the last that it makes, or the last that the discriminator hands
        back. In front of an input that is joined stands its condition: the rear is what counts.
        """
        generator, discriminator, _ = (network.name for network in self._networks)
        ends = {(generator, "forward"): "made", (discriminator, BACKWARD): "gradient"}
        name = ends.get((call.network, call.direction))
        if name and out.size % rows == 0:
            columns = np.array(out[..., :-1, :] if "out1" in call.arguments else out, np.float64).reshape(-1, rows)
            self.ends[name] = [*(self.ends[name] if entry.calls > 1 else []), columns]

    def _note(self, kept, name, values, array, rows):
        """Keep an array's numbers; of a further block, join them, unless it is the same array over again."""
        found = self._numbers(name, values[..., :-1, :] if name in ("x1", "out1") else values, rows)
        found.place = array.ctypes.data, array.shape
        if name not in kept:
            kept[name] = found
        elif kept[name].place != found.place:
            kept[name].join(found)
            kept[name].place = found.place

    def _numbers(self, name, values, rows):
        whole = rows and values.ndim > 1 and values.shape[-1] % rows == 0
        return numbers(name, values, rows if whole else 0, self._sample)

    def _update(self, call, entry):
        """Run an optimiser's update, and follow the weight with the largest gradient through it."""
        network, rate = self._optimizer.network, self._optimizer.learning_rate
        index = int(np.argmax(np.abs(network.grads)))
        before = {name: a.copy() for name, a in call.arguments.items()}
        call.run()
        after = call.arguments
        name, place = _named(network, index)
        entry.move = Move(
            name=_spelt(name, place),
            optimizer=type(self._optimizer).__name__,
            settings=self._optimizer.config() | {"learning_rate": rate},
            step=self._optimizer.steps,
            before={k: float(a.flat[index]) for k, a in before.items()},
            after={k: float(a.flat[index]) for k, a in after.items()},
        )
        if self._problem and not self.updates:  # it is of the first update, at the weights before that
            entry.move.checked = dict(self._checked(network, name, place))
        entry.reads["gradient"] = numbers("gradient", before["gradient"], 0, 0)
        entry.writes["theta"] = numbers("theta", after["theta"], 0, 0)
        entry.writes["move"] = numbers("move", after["theta"] - before["theta"], 0, 0)
        self.updates += 1

    def _checked(self, network, name, place):
        """(spelt name, `Checked`) of one weight, and of the largest gradient in each tensor of a small network."""
        claims, places = self._problem.analytic, {}
        if network.values.size <= SMALL:
            for tensor in network.parameters():
                at = np.unravel_index(np.argmax(np.abs(claims[tensor])), claims[tensor].shape)
                places[tensor] = tuple(map(int, at))
        for tensor, at in dict.fromkeys([(name, place), *places.items()]):
            flat = int(np.ravel_multi_index(at, claims[tensor].shape))
            yield _spelt(tensor, at), Checked(float(claims[tensor].flat[flat]), quotient(self._problem, tensor, flat))


def _spelt(name, place):
    return f"{name}[{', '.join(map(str, place))}]"


def _arrays(call):
    """Its arrays by name, single numbers aside."""
    return {name: a for name, a in call.arguments.items() if isinstance(a, np.ndarray) and a.ndim and a.size}


def _same(a, b):
    return a.ctypes.data == b.ctypes.data and a.size == b.size


def _is_of(array, networks):
    """Whether an array is part of a network's parameters, gradients or state."""
    return any(np.may_share_memory(array, own) for n in networks for own in (n.values, n.grads, n.state) if own.size)


def _state_names(call, networks):
    """The entries of the networks' state that a call works on: what tells a running mean from a running variance."""
    return tuple(
        f"{layer.name}.{name}"
        for network in networks
        if network.name == call.network
        for layer in network.layers
        for name, state in layer.state.items()
        if state.size and any(np.may_share_memory(a, state) for a in _arrays(call).values())
    )


def _derivative(call):
    """f′ of an elementwise call of the way back, which is what its kernel makes of dy = 1; None of any other."""
    elementwise = call.kernel.__module__ in ELEMENTWISE and "dy" in call.arguments
    if call.skipped or not elementwise or call.direction not in (BACKWARD, INPUT):
        return None
    own = {name: a.copy() if isinstance(a, np.ndarray) else a for name, a in call.arguments.items()}
    own["dy"] = np.ones_like(own["dy"])
    call.kernel(**own)
    return own["out"]


def _worked(call, column):
    """The first row's number in one column of a product, as a sum."""
    a, b, out = call.arrays
    terms = list(zip(a[0, :TERMS].tolist(), b[:TERMS, column].tolist(), strict=True))
    return Worked(column, terms, a.shape[-1], float(out[0, column]))


def _window(call, sample):
    image, patches = call.arguments["x"], call.arguments["out"]
    _, kh, kw, oh, ow, _ = patches.shape[-6:]
    own = np.array(image[0, :, :, sample], np.float64)
    return Window(own, (kh, kw), call.arguments["strides"], call.arguments["before"], (oh, ow))


def _named(network: Sequential, index: int) -> tuple[str, tuple[int, ...]]:
    """(name, index) of the parameter that a place of the arena belongs to: its address, seen as that of a view."""
    address = network.values.ctypes.data + index * network.values.itemsize
    places = ((name, view.shape, _place(view, address)) for name, view in network.parameters().items())
    return next((name, place) for name, shape, place in places if place and np.all(np.less(place, shape)))


def _place(view, address):
    """The index of a view at which an address would be, or None where it lies before it or between its numbers."""
    rest, place = address - view.ctypes.data, []
    for stride in view.strides:
        at, rest = divmod(rest, stride)
        place.append(at)
    return tuple(place) if rest == 0 and min(place) >= 0 else None
