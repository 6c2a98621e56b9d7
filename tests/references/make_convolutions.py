"""Make the references that tests/nn/test_convolution_references.py and tests/gan/test_images_against_pytorch.py compare
numgan with: layers of images one by one, by PyTorch and by Keras, and a small DCGAN trained by PyTorch.

Run by hand:  python tests/references/make_convolutions.py     (needs torch, keras, tensorflow and numgan on the path;
the tests need numgan alone)

Files, plain arrays under numgan's names. What is drawn is float16, for size: as float64 they are the same numbers.
    layers_pytorch.npz   of every layer, in float64: `cases`, JSON [[class, arguments], training] in numgan's words;
                         then "0.x", "0.dy" and the parameters "0.weight" …, "0.bias" …; and what PyTorch made of them:
                         "0.y", "0.d.x" and "0.d.weight" …, by autograd from Σ y·dy.
    layers_keras.npz     "same" where it is not even, and what Keras calls valid: cases, x, weight, bias, y.
    dcgan.npz            initial weights, batches and noise.
    dcgan_pytorch.npz    by schedule: losses (steps, 3) of the discriminator on real and on generated rows and of the
                         generator, each before its update; parameters and running statistics at `stored_steps`.

Padding that is not alike on both sides is F.pad for a convolution, and a crop of the output for a transposed one. What
it takes for PyTorch's batch norm to compute what numgan's does is told in make_references.py. A bias right before a
batch norm starts elsewhere than at 0: its gradient is rounding alone, see make_games.py.
"""

import json
import os

os.environ["KERAS_BACKEND"] = "tensorflow"

from pathlib import Path

import keras
import numpy as np
import torch
from keras import layers as keras_layers
from torch import nn
from torch.nn import functional as F

from numgan import BatchNorm as OurBatchNorm
from numgan import Conv2D, Conv2DTranspose, Dense, Flatten, LeakyReLU, Reshape, Sequential, Tanh
from numgan.nn.torch_layout import from_torch_layout, to_torch_layout

HERE = Path(__file__).parent
VERSIONS = f"torch {torch.__version__}, keras {keras.__version__}, numpy {np.__version__}"
torch.set_default_dtype(torch.float64)


def half(rng, *shape, scale=1.0):
    return (scale * rng.standard_normal(shape)).astype(np.float16)


def save(name, arrays):
    np.savez_compressed(HERE / f"{name}.npz", versions=np.array(VERSIONS), **arrays)
    print(f"  {name}.npz: {(HERE / f'{name}.npz').stat().st_size / 1000:.0f} kB")


# --------------------------------------------------------------------------------------------------- layers alone


def convolve(kernel_size, strides=1, padding=((0, 0), (0, 0)), filters=None):
    (top, bottom), (left, right) = padding

    def run(x, weight, bias):
        return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, strides)

    arguments = {"filters": filters, "kernel_size": kernel_size, "strides": strides, "padding": padding}
    return "Conv2D", arguments, run


def paint(kernel_size, strides=1, padding=((0, 0), (0, 0)), filters=None):
    (top, bottom), (left, right) = padding
    even = top == bottom and left == right

    def run(x, weight, bias):
        if even:
            return F.conv_transpose2d(x, weight, bias, strides, (top, left))
        y = F.conv_transpose2d(x, weight, bias, strides)
        return y[:, :, top : y.shape[2] - bottom, left : y.shape[3] - right]

    arguments = {"filters": filters, "kernel_size": kernel_size, "strides": strides, "padding": padding}
    return "Conv2DTranspose", arguments, run


def pool(pool_size, strides, padding):
    arguments = {"pool_size": pool_size, "strides": strides, "padding": padding}
    return (
        "AveragePooling2D",
        arguments,
        lambda x: F.avg_pool2d(x, pool_size, strides, padding, count_include_pad=False),
    )


def enlarge(*size):
    return "UpSampling2D", {"size": size}, lambda x: nn.Upsample(scale_factor=size, mode="nearest")(x)


def normalise(training):
    def run(x, gamma, beta, running_mean, running_variance):
        return F.batch_norm(x, running_mean, running_variance, gamma, beta, training, 0.2, 1e-3)

    return "BatchNorm", {"momentum": 0.8, "epsilon": 1e-3}, run


LAYERS = [  # (layer, input's shape, training)
    (convolve((3, 3), filters=3), (2, 5, 6), True),
    (convolve((3, 3), 1, ((1, 1), (1, 1)), 2), (3, 4, 5), True),
    (convolve((2, 3), (2, 1), ((1, 1), (2, 2)), 2), (2, 5, 4), True),
    (convolve((4, 4), 2, ((1, 1), (1, 1)), 4), (1, 8, 8), True),
    (convolve((5, 5), 3, ((1, 2), (0, 3)), 2), (2, 7, 8), True),
    (convolve((1, 1), 1, ((0, 0), (0, 0)), 4), (3, 3, 2), True),
    (convolve((2, 2), 3, ((0, 1), (2, 0)), 2), (2, 6, 5), True),  # gaps between the windows
    (paint((3, 3), filters=2), (3, 4, 3), True),
    (paint((4, 4), 2, ((1, 1), (1, 1)), 3), (2, 3, 4), True),
    (paint((3, 2), (2, 3), ((1, 1), (0, 0)), 2), (3, 3, 2), True),  # gaps along the columns
    (paint((4, 3), (2, 1), ((0, 1), (1, 2)), 2), (2, 3, 4), True),
    (paint((5, 5), 2, ((2, 2), (2, 2)), 1), (2, 4, 3), True),
    (pool((2, 2), (2, 2), 0), (2, 5, 6), True),
    (pool((3, 2), (2, 1), 1), (2, 5, 4), True),
    (enlarge(2, 2), (2, 3, 2), True),
    (enlarge(3, 1), (2, 2, 3), True),
    (normalise(True), (3, 2, 4), True),
    (normalise(False), (3, 2, 4), False),
]


def parameters_of(kind, arguments, channels, rng):
    """name -> array, as numgan names and shapes them."""
    if kind == "BatchNorm":
        names = "gamma", "beta", "running_mean", "running_variance"
        return {name: half(rng, channels) if name != "running_variance" else half(rng, channels) ** 2 for name in names}
    if "filters" not in arguments:
        return {}
    filters, size = arguments["filters"], arguments["kernel_size"]
    pair = (filters, channels) if kind == "Conv2D" else (channels, filters)
    return {"weight": half(rng, *pair, *size), "bias": half(rng, filters)}


def layers_by_pytorch():
    arrays, cases = {}, []
    for k, ((kind, arguments, run), shape, training) in enumerate(LAYERS):
        rng = np.random.default_rng(k)
        drawn = {"x": half(rng, 3, *shape)} | parameters_of(kind, arguments, shape[0], rng)
        tensors = {name: torch.from_numpy(a.astype(np.float64)) for name, a in drawn.items()}
        for name, tensor in tensors.items():
            tensor.requires_grad_("running" not in name)
        y = run(*tensors.values())
        drawn["dy"] = half(rng, *y.shape)
        (y * torch.from_numpy(drawn["dy"].astype(np.float64))).sum().backward()
        made = {"y": y.detach().numpy()} | {f"d.{n}": t.grad.numpy() for n, t in tensors.items() if t.grad is not None}
        arrays |= {f"{k}.{name}": a for name, a in (drawn | made).items()}
        cases.append(json.dumps([[kind, arguments], training]))
    save("layers_pytorch", arrays | {"cases": np.array(cases)})


KERAS = [  # class, arguments, input's shape
    *(("Conv2D", {"filters": 2, "kernel_size": k, "strides": s, "padding": p}, shape)
      for k, s, p, shape in (
          ((3, 3), (1, 1), "same", (2, 5, 7)), ((4, 4), (1, 1), "same", (2, 5, 4)), ((3, 3), (2, 2), "same", (2, 5, 6)),
          ((4, 2), (2, 3), "same", (1, 7, 7)), ((5, 5), (2, 2), "same", (1, 7, 5)), ((2, 3), (3, 2), "same", (2, 5, 3)),
          ((3, 2), (2, 3), "valid", (2, 7, 5)),
      )),
    *(("Conv2DTranspose", {"filters": 2, "kernel_size": k, "strides": s, "padding": p}, shape)
      for k, s, p, shape in (
          ((3, 3), (1, 1), "same", (2, 3, 5)), ((4, 4), (2, 2), "same", (2, 3, 3)), ((5, 5), (2, 2), "same", (1, 3, 3)),
          ((3, 4), (2, 1), "same", (2, 3, 4)), ((2, 3), (3, 2), "same", (1, 3, 3)),
          ((3, 3), (2, 2), "valid", (2, 3, 3)), ((2, 4), (3, 2), "valid", (1, 3, 2)),
      )),
    ("AveragePooling2D", {"pool_size": (2, 2), "strides": (2, 2), "padding": "same"}, (2, 5, 7)),
    ("AveragePooling2D", {"pool_size": (3, 2), "strides": (2, 1), "padding": "same"}, (2, 5, 4)),
    ("UpSampling2D", {"size": (2, 3)}, (2, 2, 3)),
]  # fmt: skip


def layers_by_keras():
    arrays, cases = {}, []
    for k, (kind, arguments, shape) in enumerate(KERAS):
        rng = np.random.default_rng(100 + k)
        x = half(rng, 2, *shape)
        drawn = {"x": x} | parameters_of(kind, arguments, shape[0], rng)
        layer = getattr(keras_layers, kind)(**arguments, data_format="channels_last", dtype="float64")
        layer.build((None, *shape[1:], shape[0]))
        if "weight" in drawn:  # Keras: (KH, KW, C, F), of a transposed convolution (KH, KW, F, C)
            kernel = drawn["weight"].transpose(2, 3, 1, 0).astype(np.float64)
            layer.set_weights([kernel, drawn["bias"].astype(np.float64)])
        y = np.moveaxis(np.asarray(layer(np.moveaxis(x.astype(np.float64), 1, -1))), -1, 1)
        assert y.dtype == np.float64
        arrays |= {f"{k}.{name}": a for name, a in (drawn | {"y": y}).items()}
        cases.append(json.dumps([[kind, arguments], True]))
    save("layers_keras", arrays | {"cases": np.array(cases)})


# ---------------------------------------------------------------------------------------------------- a small DCGAN

STEPS, STORED_STEPS, ROWS, LATENT = 50, (1, 10, 50), 6, 5
ADAM = {"learning_rate": 2e-3, "beta1": 0.5, "beta2": 0.999, "epsilon": 1e-7}
SHAPES = {
    "generator": {
        "dense_1.weight": (16, LATENT), "dense_1.bias": (16,), "batch_norm_1": (4,),
        "conv2d_transpose_1.weight": (4, 3, 4, 4), "conv2d_transpose_1.bias": (3,), "batch_norm_2": (3,),
        "conv2d_transpose_2.weight": (3, 1, 4, 4), "conv2d_transpose_2.bias": (1,),
    },
    "discriminator": {
        "conv2d_1.weight": (3, 1, 4, 4), "conv2d_1.bias": (3,), "conv2d_2.weight": (4, 3, 4, 4), "conv2d_2.bias": (4,),
        "batch_norm_1": (4,), "dense_1.weight": (1, 16), "dense_1.bias": (1,),
    },
}  # fmt: skip


class BatchNorm2d(nn.BatchNorm2d):
    """nn.BatchNorm2d, but that the biased variance enters the running one, as in Keras and numgan."""

    def forward(self, x):
        before = self.running_var.clone()
        y = super().forward(x)
        if self.training:
            self.running_var = torch.lerp(before, x.detach().var(dim=(0, 2, 3), correction=0), self.momentum)
        return y


def torch_networks():
    def norm(n):
        return BatchNorm2d(n, eps=1e-3, momentum=0.2)

    generator = nn.Sequential(
        nn.Linear(LATENT, 16), nn.Unflatten(1, (4, 2, 2)), norm(4), nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(4, 3, 4, 2, 1), norm(3), nn.LeakyReLU(0.2), nn.ConvTranspose2d(3, 1, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip
    discriminator = nn.Sequential(
        nn.Conv2d(1, 3, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(3, 4, 4, 2, 1), norm(4), nn.LeakyReLU(0.2), nn.Flatten(),
        nn.Linear(16, 1),
    )  # fmt: skip
    return {"generator": generator, "discriminator": discriminator}


KINDS = {
    "dense": nn.Linear, "conv2d": nn.Conv2d, "conv2d_transpose": nn.ConvTranspose2d, "batch_norm": nn.BatchNorm2d,
}  # fmt: skip
NAMES = {"gamma": "weight", "beta": "bias", "running_mean": "running_mean", "running_variance": "running_var"}


def torch_tensors(networks):
    """numgan's name -> how to reach the tensor (a running variance is replaced by every pass)."""
    found = {}
    for side, network in networks.items():
        for kind, cls in KINDS.items():
            for k, module in enumerate((m for m in network if isinstance(m, cls)), 1):
                names = NAMES if kind == "batch_norm" else {"weight": "weight", "bias": "bias"}
                for ours, theirs in names.items():
                    found[f"{side}.{kind}_{k}.{ours}"] = (module, theirs)
    return found


def dcgan_inputs():
    rng, inputs = np.random.default_rng(7), {}
    for side, shapes in SHAPES.items():
        for name, shape in shapes.items():
            if "batch_norm" in name:
                inputs[f"{side}.{name}.gamma"] = (1 + 0.2 * rng.standard_normal(shape)).astype(np.float16)
                inputs[f"{side}.{name}.beta"] = half(rng, *shape, scale=0.1)
                inputs[f"{side}.{name}.running_mean"] = half(rng, *shape, scale=0.1)
                inputs[f"{side}.{name}.running_variance"] = rng.uniform(0.5, 1.5, shape).astype(np.float16)
            else:
                inputs[f"{side}.{name}"] = half(rng, *shape, scale=0.3 if "weight" in name else 0.1)
    inputs["real"] = np.tanh(rng.standard_normal((STEPS, ROWS, 1, 8, 8))).round(2).astype(np.float16)
    inputs |= {name: half(rng, STEPS, ROWS, LATENT) for name in ("d_noise", "g_noise")}
    return inputs | {name: np.array(value) for name, value in ADAM.items()} | {"stored_steps": np.array(STORED_STEPS)}


def dcgan_by_pytorch(inputs, schedule):
    networks = torch_networks()
    g, d = networks.values()
    tensors = torch_tensors(networks)
    with torch.no_grad():
        for name, (module, attribute) in tensors.items():
            getattr(module, attribute).copy_(torch.from_numpy(inputs[name].astype(np.float64)))
    optimizers = [
        torch.optim.Adam(n.parameters(), ADAM["learning_rate"], (ADAM["beta1"], ADAM["beta2"]), ADAM["epsilon"])
        for n in (g, d)
    ]
    bce = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones(ROWS, 1), torch.zeros(ROWS, 1)

    def learn(optimizer, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    losses, snapshots = [], []
    batches = (torch.from_numpy(inputs[name].astype(np.float64)) for name in ("real", "d_noise", "g_noise"))
    for step, (real, d_noise, g_noise) in enumerate(zip(*batches, strict=True), 1):
        g.eval()
        d.train()
        with torch.no_grad():
            fake = g(d_noise)
        if schedule == "concatenated":
            scores = d(torch.cat([real, fake]))
            learn(optimizers[1], bce(scores, torch.cat([ones, zeros])))
            on_real, on_fake = (bce(s, t).item() for s, t in zip(scores.detach().chunk(2), (ones, zeros), strict=True))
        else:
            on_real, on_fake = (learn(optimizers[1], bce(d(x), t)) for x, t in ((real, ones), (fake, zeros)))
        g.train()
        d.eval()
        losses.append([on_real, on_fake, learn(optimizers[0], bce(d(g(g_noise)), ones))])
        if step in STORED_STEPS:
            snapshots.append({n: getattr(m, a).detach().numpy().copy() for n, (m, a) in tensors.items()})
    stacked = {name: np.stack([s[name] for s in snapshots]) for name in snapshots[0]}
    return {f"{schedule}.{name}": a for name, a in ({"losses": np.array(losses)} | stacked).items()}


# ------------------------------------------------------------------------------------------------ weights exchange


def exchange():
    """Print how far a generator in numgan is from the same one in PyTorch, weights brought over either way."""
    rng = np.random.default_rng(0)
    generator = Sequential(
        [Dense(16), Reshape((4, 2, 2)), OurBatchNorm(0.8, 1e-3), LeakyReLU(0.2), Conv2DTranspose(3, 4, 2, "same"),
         OurBatchNorm(0.8, 1e-3), LeakyReLU(0.2), Conv2DTranspose(1, 4, 2, "same"), Tanh()], LATENT, rng, "float64",
    )  # fmt: skip
    critic = Sequential(
        [Conv2D(3, 4, 2, "same"), LeakyReLU(0.2), Conv2D(4, 4, 2, 1), OurBatchNorm(0.8, 1e-3), LeakyReLU(0.2),
         Flatten(), Dense(1)], (1, 8, 8), rng, "float64",
    )  # fmt: skip
    noise = rng.standard_normal((100, LATENT))
    inputs = noise, generator.predict(noise)
    for ours, theirs, x in zip((generator, critic), torch_networks().values(), inputs, strict=True):
        theirs.eval()

        def distance(ours=ours, theirs=theirs, x=x):
            return np.abs(ours.predict(x) - theirs(torch.from_numpy(x)).detach().numpy()).max()

        print(f"before the exchange   max |numgan − PyTorch| = {distance():.2g}")
        ours.state[...] += rng.uniform(0.1, 0.5, ours.state.shape)
        theirs.load_state_dict({name: torch.from_numpy(a) for name, a in to_torch_layout(ours).items()})
        print(f"numgan → PyTorch      max |numgan − PyTorch| = {distance():.2g}")
        with torch.no_grad():
            for tensor in theirs.parameters():
                tensor += 0.1 * torch.randn(tensor.shape)
        print(f"PyTorch moved on      max |numgan − PyTorch| = {distance():.2g}")
        from_torch_layout(ours, theirs.state_dict())
        print(f"PyTorch → numgan      max |numgan − PyTorch| = {distance():.2g}")


def main():
    print(VERSIONS)
    layers_by_pytorch()
    layers_by_keras()
    inputs = dcgan_inputs()
    save("dcgan", inputs)
    save("dcgan_pytorch", dcgan_by_pytorch(inputs, "concatenated") | dcgan_by_pytorch(inputs, "separate"))
    exchange()


if __name__ == "__main__":
    main()
