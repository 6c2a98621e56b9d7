"""Make the reference trajectories that tests/gan/test_references.py compares numgan with, by PyTorch and by Keras.

Run by hand:  python tests/references/make_references.py     (needs torch, keras and tensorflow; the tests need none)

Two small GANs are trained in float64, each by both frameworks and with both forms of Adam, from the same stored
initial weights on the same stored batches. Each framework is used as its users use it, its automatic
differentiation working out every gradient. What it takes for the frameworks to compute the same thing:

Adam          torch.optim.Adam is algorithm 1 of Kingma & Ba ("paper": ε after the bias correction),
              keras.optimizers.Adam the ε̂ form at the end of their section 2 ("keras": ε before it). The form a
              framework lacks is written here in a few lines of its own tensor operations.
β₁, β₂        Keras on TensorFlow casts them by way of float32 when they are Python floats, an error of 6·10⁻⁶ in the
              first step's size; as np.float64 they keep their digits.
slope         TensorFlow's LeakyReLU holds its slope as a float32 whatever the data's dtype. So the slope used,
              by all, is the float32 next to 0.2.
batch norm    PyTorch weighs the new value with its `momentum` (0.2 is Keras's 0.8) and puts the unbiased variance,
              N/(N − 1) times the biased one, into the running statistics. The BatchNorm of torch_side.py puts the
              biased one there.

Files, plain arrays under numgan's names ("generator.dense_1.weight"):
    {gan}.npz                       settings, initial weights, batches and noise. Drawn once and stored, since NumPy
                                    does not promise equal draws from version to version; as float16, for size: read
                                    as float64 they are the same numbers.
    {gan}_{framework}_{form}.npz    losses (steps, 3): of the discriminator on real and on fake rows and of the
                                    generator, each before the update it belongs to; and after every step of
                                    `stored_steps` the parameters and running statistics, and Adam's m and v of each
                                    parameter ("m.generator.dense_1.weight"); `versions`.
    pytorch_state_dict.npz          a PyTorch network's state_dict, an input and its output, for test_torch_layout.py.
"""

import os
import time
from itertools import pairwise
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf
import torch
from keras import layers, ops
from torch import nn
from torch_side import SHARED, TorchAdamEpsilonHat, torch_network, torch_tensors

HERE = Path(__file__).parent
FORMS = ("paper", "keras")
VERSIONS = f"torch {torch.__version__}, keras {keras.__version__}, tensorflow {tf.__version__}, numpy {np.__version__}"

# Widths of the layers, generator and discriminator: the recipes' structure, the mnist recipe's narrowed. In a separate
# schedule the discriminator's batches are half the generator's, as in the recipe.
GANS = {
    "sine": {"widths": ((5, 25, 2), (2, 25, 1)), "rows": (16, 32), "steps": 100, "learning_rate": 1e-3, "beta1": 0.9,
             "stored_steps": (1, 2, 5, 10, 30, 100)},
    "mnist": {"widths": ((6, 8, 10, 12, 16), (16, 8, 10, 12, 1)), "rows": (16, 16), "steps": 30,
              "learning_rate": 4e-4, "beta1": 0.5, "stored_steps": (1, 2, 5, 10, 20, 30)},
}  # fmt: skip

torch.set_default_dtype(torch.float64)
keras.backend.set_floatx("float64")


# --------------------------------------------------------------------------------------------- what both start from


def make_inputs(gan, rng):
    """Settings, batches, noise and initial weights of one GAN. Nothing starts at 0 or 1, so that nothing hides."""
    s = GANS[gan]
    (d_rows, g_rows), steps, latent = s["rows"], s["steps"], s["widths"][0][0]
    inputs = {name: np.array(s[name]) for name in ("learning_rate", "beta1", "stored_steps")}
    inputs |= {name: np.array(value) for name, value in SHARED.items()}
    inputs["d_noise"] = rng.standard_normal((steps, d_rows, latent))
    inputs["g_noise"] = rng.standard_normal((steps, g_rows, latent))
    if gan == "sine":
        t = rng.uniform(0, 2 * np.pi, (steps, d_rows))
        inputs["real"] = np.stack([t, np.sin(t)], axis=-1)
    else:
        inputs["real"] = rng.uniform(-1, 1, (steps, d_rows, s["widths"][1][0]))
    for network, widths in zip(("generator", "discriminator"), s["widths"], strict=True):
        for k, (n_in, n_out) in enumerate(pairwise(widths), 1):
            inputs[f"{network}.dense_{k}.weight"] = rng.standard_normal((n_in, n_out)) * np.sqrt(2 / n_in)
            inputs[f"{network}.dense_{k}.bias"] = rng.standard_normal(n_out) * 0.1
    if gan == "mnist":
        for k, n in enumerate(s["widths"][0][1:-1], 1):
            inputs[f"generator.batch_norm_{k}.gamma"] = rng.uniform(0.5, 1.5, n)
            inputs[f"generator.batch_norm_{k}.beta"] = rng.standard_normal(n) * 0.1
            inputs[f"generator.batch_norm_{k}.running_mean"] = rng.standard_normal(n) * 0.1
            inputs[f"generator.batch_norm_{k}.running_variance"] = rng.uniform(0.5, 1.5, n)
    return {name: a.astype(np.float16) if a.ndim and a.dtype.kind == "f" else a for name, a in inputs.items()}


def train(model, inputs):
    """The trajectory of a PyTorchGAN or KerasGAN as arrays for one file."""
    losses, snapshots = [], []
    batches = zip(*(inputs[name].astype(np.float64) for name in ("real", "d_noise", "g_noise")), strict=True)
    for step, (real, d_noise, g_noise) in enumerate(batches, 1):
        losses.append([*model.discriminator_step(real, d_noise), model.generator_step(g_noise)])
        if step in inputs["stored_steps"]:
            snapshots.append(model.snapshot())
    stacked = {name: np.stack([snapshot[name] for snapshot in snapshots]) for name in snapshots[0]}
    return {"versions": np.array(VERSIONS), "losses": np.array(losses)} | stacked


# ---------------------------------------------------------------------------------------------------------- PyTorch


def turned(name, array):
    """nn.Linear keeps its weight as (n_out, n_in): from PyTorch's layout to numgan's, or back."""
    return array.T if name.endswith(".weight") else array


class PyTorchGAN:
    def __init__(self, gan, inputs, form):
        (g_widths, d_widths), self.concatenated = GANS[gan]["widths"], gan == "mnist"
        if gan == "sine":
            self.g = torch_network(g_widths, nn.ReLU)
            self.d = torch_network(d_widths, nn.ReLU)
        else:
            self.g = torch_network(g_widths, lambda: nn.LeakyReLU(SHARED["slope"]), "after", [nn.Tanh()])
            self.d = torch_network(d_widths, lambda: nn.LeakyReLU(SHARED["slope"]))
        with torch.no_grad():
            for name, tensor in self.tensors().items():
                tensor.copy_(torch.from_numpy(turned(name, inputs[name]).astype(np.float64)))
        adam = torch.optim.Adam if form == "paper" else TorchAdamEpsilonHat
        betas = float(inputs["beta1"]), SHARED["beta2"]
        self.g_optimizer, self.d_optimizer = (
            adam(network.parameters(), lr=float(inputs["learning_rate"]), betas=betas, eps=SHARED["epsilon"])
            for network in (self.g, self.d)
        )
        self.loss = nn.BCEWithLogitsLoss()

    def tensors(self):
        return torch_tensors(self.g, "generator") | torch_tensors(self.d, "discriminator")

    def discriminator_step(self, real, noise):
        real, ones, zeros = torch.from_numpy(real), torch.ones(len(real), 1), torch.zeros(len(real), 1)
        self.g.eval()
        with torch.no_grad():
            fake = self.g(torch.from_numpy(noise))
        if self.concatenated:
            logits = self.d(torch.cat([real, fake]))
            self.learn(self.d_optimizer, self.loss(logits, torch.cat([ones, zeros])))
            on_real, on_fake = logits.detach().chunk(2)
            return self.loss(on_real, ones).item(), self.loss(on_fake, zeros).item()
        loss_real = self.learn(self.d_optimizer, self.loss(self.d(real), ones))
        return loss_real, self.learn(self.d_optimizer, self.loss(self.d(fake), zeros))

    def generator_step(self, noise):
        self.g.train()
        logits = self.d(self.g(torch.from_numpy(noise)))
        return self.learn(self.g_optimizer, self.loss(logits, torch.ones(len(noise), 1)))

    @staticmethod
    def learn(optimizer, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    def snapshot(self):
        arrays = {}
        state = self.g_optimizer.state | self.d_optimizer.state
        for name, tensor in self.tensors().items():
            arrays[name] = turned(name, tensor.detach().numpy()).copy()
            if tensor.requires_grad:
                arrays["m." + name] = turned(name, state[tensor]["exp_avg"].numpy()).copy()
                arrays["v." + name] = turned(name, state[tensor]["exp_avg_sq"].numpy()).copy()
        return arrays


# ------------------------------------------------------------------------------------------------------------ Keras


class KerasAdamAlgorithm1(keras.optimizers.Adam):
    """Algorithm 1, which Keras does not offer: only the update differs."""

    def update_step(self, gradient, variable, learning_rate):
        i = self._get_variable_index(variable)
        m, v, t = self._momentums[i], self._velocities[i], ops.cast(self.iterations + 1, variable.dtype)
        m.assign(self.beta_1 * m + (1 - self.beta_1) * gradient)
        v.assign(self.beta_2 * v + (1 - self.beta_2) * gradient**2)
        m_hat, v_hat = m / (1 - self.beta_1**t), v / (1 - self.beta_2**t)
        variable.assign(variable - learning_rate * m_hat / (ops.sqrt(v_hat) + self.epsilon))


def keras_network(widths, activation, batch_norm, output=None):
    model = keras.Sequential([keras.Input((widths[0],))])
    for n_out in widths[1:-1]:
        model.add(layers.Dense(n_out))
        model.add(activation())
        if batch_norm:
            model.add(layers.BatchNormalization(momentum=SHARED["momentum"], epsilon=SHARED["batch_norm_epsilon"]))
    model.add(layers.Dense(widths[-1], activation=output))
    return model


def keras_variables(model, prefix):
    """numgan's name -> variable."""
    variables = {}
    for k, dense in enumerate((x for x in model.layers if isinstance(x, layers.Dense)), 1):
        variables |= {f"{prefix}.dense_{k}.weight": dense.kernel, f"{prefix}.dense_{k}.bias": dense.bias}
    for k, bn in enumerate((x for x in model.layers if isinstance(x, layers.BatchNormalization)), 1):
        variables |= {f"{prefix}.batch_norm_{k}.gamma": bn.gamma, f"{prefix}.batch_norm_{k}.beta": bn.beta,
                      f"{prefix}.batch_norm_{k}.running_mean": bn.moving_mean,
                      f"{prefix}.batch_norm_{k}.running_variance": bn.moving_variance}  # fmt: skip
    return variables


class KerasGAN:
    def __init__(self, gan, inputs, form):
        (g_widths, d_widths), self.concatenated = GANS[gan]["widths"], gan == "mnist"
        if gan == "sine":
            self.g = keras_network(g_widths, layers.ReLU, batch_norm=False)
            self.d = keras_network(d_widths, layers.ReLU, batch_norm=False)
        else:
            self.g = keras_network(g_widths, lambda: layers.LeakyReLU(SHARED["slope"]), True, "tanh")
            self.d = keras_network(d_widths, lambda: layers.LeakyReLU(SHARED["slope"]), False)
        self.variables = keras_variables(self.g, "generator") | keras_variables(self.d, "discriminator")
        for name, variable in self.variables.items():
            variable.assign(inputs[name].astype(np.float64))
        adam = KerasAdamAlgorithm1 if form == "paper" else keras.optimizers.Adam
        betas = np.float64(inputs["beta1"]), np.float64(SHARED["beta2"])  # not Python floats: see the top of the file
        self.g_optimizer, self.d_optimizer = (
            adam(float(inputs["learning_rate"]), *betas, epsilon=SHARED["epsilon"]) for _ in range(2)
        )
        self.loss = keras.losses.BinaryCrossentropy(from_logits=True)

    def discriminator_step(self, real, noise):
        ones, zeros = np.ones((len(real), 1)), np.zeros((len(real), 1))
        fake = self.g(noise, training=False)
        if self.concatenated:
            with tf.GradientTape() as tape:
                logits = self.d(ops.concatenate([real, fake]), training=True)
                loss = self.loss(np.concatenate([ones, zeros]), logits)
            self.learn(tape, loss, self.d, self.d_optimizer)
            on_real, on_fake = ops.split(logits, 2)
            return float(self.loss(ones, on_real)), float(self.loss(zeros, on_fake))
        losses = []
        for rows, target in ((real, ones), (fake, zeros)):
            with tf.GradientTape() as tape:
                loss = self.loss(target, self.d(rows, training=True))
            losses.append(self.learn(tape, loss, self.d, self.d_optimizer))
        return losses

    def generator_step(self, noise):
        with tf.GradientTape() as tape:
            logits = self.d(self.g(noise, training=True), training=False)
            loss = self.loss(np.ones((len(noise), 1)), logits)
        return self.learn(tape, loss, self.g, self.g_optimizer)

    @staticmethod
    def learn(tape, loss, model, optimizer):
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return float(loss)

    def snapshot(self):
        arrays = {name: variable.numpy().copy() for name, variable in self.variables.items()}
        names = {id(variable): name for name, variable in self.variables.items()}
        for model, optimizer in ((self.g, self.g_optimizer), (self.d, self.d_optimizer)):
            for i, variable in enumerate(model.trainable_variables):
                name = names[id(variable)]
                arrays["m." + name] = optimizer._momentums[i].numpy().copy()
                arrays["v." + name] = optimizer._velocities[i].numpy().copy()
        return arrays


# ------------------------------------------------------------------------------------------------- weights exchange


def torch_state_dict():
    """A network of every kind of layer that numgan has, after a few training passes, with an input and its output."""
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Linear(4, 6), nn.LeakyReLU(0.2), nn.BatchNorm1d(6, eps=1e-3, momentum=0.2), nn.Linear(6, 5), nn.ReLU(),
        nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 2), nn.Sigmoid(),
    )  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    for _ in range(5):
        optimizer.zero_grad()
        network(torch.randn(16, 4)).square().mean().backward()
        optimizer.step()
    network.eval()
    x = torch.randn(7, 4)
    state = {f"state.{name}": tensor.numpy() for name, tensor in network.state_dict().items()}
    return state | {"input": x.numpy(), "output": network(x).detach().numpy(), "versions": np.array(VERSIONS)}


# ------------------------------------------------------------------------------------------------------ running it


def difference(a, b):
    """The worst relative difference of an element between two trajectories, per kind of quantity."""
    worst = {}
    for name in b.keys() - {"versions"}:
        kind = "running" if "running" in name else name.split(".")[0]
        kind = "parameters" if kind in ("generator", "discriminator") else kind
        worst[kind] = max(worst.get(kind, 0.0), float((np.abs(a[name] - b[name]) / np.abs(b[name])).max()))
    return ", ".join(f"{kind} {worst[kind]:.0e}" for kind in sorted(worst))


def save(name, arrays):
    np.savez_compressed(HERE / f"{name}.npz", **arrays)
    print(f"  {name}.npz: {(HERE / f'{name}.npz').stat().st_size / 1000:.0f} kB")


def main():
    print(VERSIONS)
    for seed, gan in enumerate(GANS):
        inputs = make_inputs(gan, np.random.default_rng(seed))
        save(gan, inputs)
        for form in FORMS:
            trajectories = {}
            for framework, cls in {"pytorch": PyTorchGAN, "keras": KerasGAN}.items():
                start = time.perf_counter()
                trajectories[framework] = train(cls(gan, inputs, form), inputs)
                print(f"{gan}, {framework}, {form} form: {time.perf_counter() - start:.1f} s")
                save(f"{gan}_{framework}_{form}", trajectories[framework])
            print(f"PyTorch against Keras: {difference(trajectories['pytorch'], trajectories['keras'])}")
    save("pytorch_state_dict", torch_state_dict())


if __name__ == "__main__":
    main()
