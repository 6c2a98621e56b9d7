"""JAX: one jitted function per training step, called step by step or looped inside `lax.scan`.

Written the way its users write it fast: parameters, moments and random key are one donated tree, batches are drawn
inside the jitted step, and nothing waits for a result before the end of a chunk. Images are kept with channels last, in
which XLA's convolutions are the faster.
"""

from functools import partial
from itertools import islice

import jax
import jax.numpy as jnp

from benchmarks.workers.channels_last import ARRAYS, images, last, turned
from benchmarks.workers.serve import serve

SCAN_STEPS = {"mnist": 10, "sine": 500, "mnist-dcgan": 5}  # inside one compiled loop


WINDOWS = "NHWC", "HWIO", "NHWC"  # the layouts of image, weight and output


def forward(layers, parameters, statistics, x, training=False, key=None):
    """What the layers of a job make of x, but for a closing Sigmoid, and the new statistics.

    parameters   a tuple to each layer: (W, b), or (γ, β) of a batch norm.
    statistics   likewise: (mean, variance) of a batch norm.
    key          for dropout, which rests without one.
    """
    new = []
    for i, ((kind, s), own, old) in enumerate(zip(layers, parameters, statistics, strict=True)):
        if kind == "BatchNorm":
            x, old = batch_norm(s, *own, old, x, training)
        elif kind == "Dropout":
            x = x if key is None else dropout(s["rate"], x, jax.random.fold_in(key, i))
        elif own:
            x = PRODUCTS[kind](s, x, own[0]) + own[1]
        else:
            x = PLAIN[kind](s, x)
        new.append(old)
    return x, new


def dropout(rate, x, key):
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


def batch_norm(s, gamma, beta, old, x, training):
    """(y, the new statistics)."""
    axes = tuple(range(x.ndim - 1))
    mean, variance = (x.mean(axes), x.var(axes)) if training else old
    y = (x - mean) * (gamma * jax.lax.rsqrt(variance + s["epsilon"])) + beta
    return y, jax.tree.map(lambda a, b: s["momentum"] * a + (1 - s["momentum"]) * b, old, (mean, variance))


def convolution(strides, x, weight):
    return jax.lax.conv_general_dilated(x, weight, strides, "SAME", dimension_numbers=WINDOWS)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def convolution_transpose(strides, x, weight):
    """A convolution's way back to its input. Written as that, since JAX differentiates `lax.conv_transpose` by the
    weight to a convolution that takes XLA a hundred times as long on a CPU.
    """
    rows, height, width, _ = x.shape
    image = jax.ShapeDtypeStruct((rows, height * strides[0], width * strides[1], weight.shape[2]), x.dtype)
    return jax.linear_transpose(lambda y: convolution(strides, y, weight), image)(x)[0]


def _convolution_transpose_forward(strides, x, weight):
    return convolution_transpose(strides, x, weight), (x, weight)


def _convolution_transpose_backward(strides, kept, dy):
    dx, back = jax.vjp(lambda weight: convolution(strides, dy, weight), kept[1])
    return dx, back(kept[0])[0]


convolution_transpose.defvjp(_convolution_transpose_forward, _convolution_transpose_backward)

PRODUCTS = {
    "Dense": lambda s, x, weight: x @ weight,
    "Conv2D": lambda s, x, weight: convolution(tuple(s["strides"]), x, weight),
    "Conv2DTranspose": lambda s, x, weight: convolution_transpose(tuple(s["strides"]), x, weight),
}
PLAIN = {
    "ReLU": lambda s, x: jax.nn.relu(x),
    "LeakyReLU": lambda s, x: jax.nn.leaky_relu(x, s["slope"]),
    "Tanh": lambda s, x: jnp.tanh(x),
    "Sigmoid": lambda s, x: x,  # the loss takes logits
    "Reshape": lambda s, x: x.reshape(-1, *last(s["shape"])),
    "Flatten": lambda s, x: x.reshape(len(x), -1),
}


def cross_entropy(logits, target):
    return jnp.mean(jax.nn.softplus(logits) - target * logits)


def adam(job, parameters, moments, gradient):
    """(parameters, moments) after one update; moments are (steps, m, v)."""
    steps, m, v = moments
    steps += 1
    m = jax.tree.map(lambda m, g: job.beta1 * m + (1 - job.beta1) * g, m, gradient)
    v = jax.tree.map(lambda v, g: job.beta2 * v + (1 - job.beta2) * g * g, v, gradient)
    rate = job.learning_rate * jnp.sqrt(1 - job.beta2**steps) / (1 - job.beta1**steps)
    return jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + job.epsilon), parameters, m, v), (steps, m, v)


def step(job, state, real, noise_d, noise_g, key=None):
    """The state after one training step."""
    g, statistics, g_moments, d, d_moments = state
    g_layers, d_layers = job.layers
    no_statistics = [()] * len(d_layers)
    fake, _ = forward(g_layers, g, statistics, noise_d)
    if job.concatenated:
        target = jnp.repeat(jnp.array([1.0, 0.0]), job.rows)[:, None]
        updates = [(jnp.concatenate([real, fake]), target)]
    else:
        updates = [(real, 1.0), (fake, 0.0)]

    def d_loss(d, x, target):
        return cross_entropy(forward(d_layers, d, no_statistics, x, True, key)[0], target)

    for x, target in updates:
        d, d_moments = adam(job, d, d_moments, jax.grad(d_loss)(d, x, target))

    def g_loss(g):
        fake, new = forward(g_layers, g, statistics, noise_g, True)
        return cross_entropy(forward(d_layers, d, no_statistics, fake)[0], 1.0), new

    gradient, statistics = jax.grad(g_loss, has_aux=True)(g)
    g, g_moments = adam(job, g, g_moments, gradient)
    return g, statistics, g_moments, d, d_moments


def draw(job, rows, key):
    """Fresh (real, noise_d, noise_g, key of the dropout)."""
    real_key, d_key, g_key, dropout_key = jax.random.split(key, 4)
    if rows is not None:
        real = rows[jax.random.randint(real_key, (job.rows,), 0, len(rows))]
    else:
        t = jax.random.normal(real_key, (job.rows, 1))
        real = jnp.concatenate([t, jnp.sin(t)], axis=1)
    return (real, jax.random.normal(d_key, (job.rows, job.latent_dim)),
            jax.random.normal(g_key, (job.batch_size, job.latent_dim)), dropout_key)  # fmt: skip


class Trainer:
    def __init__(self, job):
        self.versions, self.job = {"jax": jax.__version__}, job
        g, d = (by_layer(*own) for own in zip(job.weights, job.layers, job.shapes, strict=True))
        g, statistics = [own[:2] for own in g], [own[2:] for own in g]
        self.state = (g, statistics, no_moments(g), d, no_moments(d))
        self.key = jax.random.key(0)
        rows = None if job.images is None else jnp.asarray(images(job.images))

        def advance(carry, _=None):
            key, state = carry
            key, own = jax.random.split(key)
            return (key, step(job, state, *draw(job, rows, own))), None

        self.step = jax.jit(partial(step, job), donate_argnums=0)
        if job.peer == "jax-scan":
            self.stride = SCAN_STEPS[job.recipe]
            straight = job.has("Conv2D")  # in a loop XLA's gradients of convolutions take up to fifty times as long
            self.advance = jax.jit(
                lambda carry: jax.lax.scan(advance, carry, length=self.stride, unroll=straight)[0], donate_argnums=0
            )
        else:
            self.stride = 1
            self.advance = jax.jit(lambda carry: advance(carry)[0], donate_argnums=0)

    def run(self, n):
        carry, calls = (self.key, self.state), -(-n // self.stride)
        for _ in range(calls):
            carry = self.advance(carry)
        self.key, self.state = jax.block_until_ready(carry)
        return calls * self.stride

    def train(self, real, noise_d, noise_g):
        self.state = self.step(self.state, images(real), noise_d, noise_g)

    def weights(self):
        g, statistics, _, d, _ = self.state
        g = [(*own, *pair) for own, pair in zip(g, statistics, strict=True)]
        own = zip((g, d), self.job.layers, self.job.shapes, strict=True)
        return [a for arrays, *described in own for a in turned(sum(arrays, ()), *described, back=True)]


def by_layer(arrays, layers, shapes):
    """A tuple of arrays to each layer."""
    arrays = map(jnp.asarray, turned(arrays, layers, shapes))
    return [tuple(islice(arrays, ARRAYS.get(kind, 0))) for kind, _ in layers]


def no_moments(parameters):
    return jnp.zeros(()), jax.tree.map(jnp.zeros_like, parameters), jax.tree.map(jnp.zeros_like, parameters)


if __name__ == "__main__":
    serve(Trainer)
