"""JAX: one jitted function per training step, called step by step or looped inside `lax.scan`.

Written the way its users write it fast: parameters, moments and random key are one donated tree, batches are drawn
inside the jitted step, and nothing waits for a result before the end of a chunk.
"""

from functools import partial

import jax
import jax.numpy as jnp

from benchmarks.workers.serve import serve

SCAN_STEPS = {"mnist": 10, "sine": 500}  # inside one compiled loop


# The generator's layers are (W, b) or, with batch norm, (W, b, γ, β); its statistics are (mean, variance) pairs.


def generator(job, layers, statistics, z, training):
    """The generated rows, and the new statistics."""
    new = []
    for layer, old in zip(layers[:-1], statistics, strict=True):
        z = z @ layer[0] + layer[1]
        if job.recipe == "sine":
            z = jax.nn.relu(z)
            continue
        z = jax.nn.leaky_relu(z, job.slope)
        mean, variance = (z.mean(0), z.var(0)) if training else old
        z = (z - mean) * (layer[2] * jax.lax.rsqrt(variance + 1e-3)) + layer[3]
        new.append(jax.tree.map(lambda a, b: job.momentum * a + (1 - job.momentum) * b, old, (mean, variance)))
    z = z @ layers[-1][0] + layers[-1][1]
    return (z, statistics) if job.recipe == "sine" else (jnp.tanh(z), new)


def discriminator(job, layers, x):
    """The logits."""
    for weight, bias in layers[:-1]:
        x = x @ weight + bias
        x = jax.nn.relu(x) if job.recipe == "sine" else jax.nn.leaky_relu(x, job.slope)
    return x @ layers[-1][0] + layers[-1][1]


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


def step(job, state, real, noise_d, noise_g):
    """The state after one training step."""
    g, statistics, g_moments, d, d_moments = state
    fake, _ = generator(job, g, statistics, noise_d, training=False)
    if job.concatenated:
        target = jnp.repeat(jnp.array([1.0, 0.0]), job.rows)[:, None]
        updates = [(jnp.concatenate([real, fake]), target)]
    else:
        updates = [(real, 1.0), (fake, 0.0)]
    for x, target in updates:
        gradient = jax.grad(lambda d, x, t: cross_entropy(discriminator(job, d, x), t))(d, x, target)
        d, d_moments = adam(job, d, d_moments, gradient)

    def g_loss(g):
        fake, new = generator(job, g, statistics, noise_g, training=True)
        return cross_entropy(discriminator(job, d, fake), 1.0), new

    gradient, statistics = jax.grad(g_loss, has_aux=True)(g)
    g, g_moments = adam(job, g, g_moments, gradient)
    return g, statistics, g_moments, d, d_moments


def draw(job, images, key):
    """Fresh (real, noise_d, noise_g)."""
    real_key, d_key, g_key = jax.random.split(key, 3)
    if images is not None:
        real = images[jax.random.randint(real_key, (job.rows,), 0, len(images))]
    else:
        t = jax.random.normal(real_key, (job.rows, 1))
        real = jnp.concatenate([t, jnp.sin(t)], axis=1)
    return (real, jax.random.normal(d_key, (job.rows, job.latent_dim)),
            jax.random.normal(g_key, (job.batch_size, job.latent_dim)))  # fmt: skip


class Trainer:
    def __init__(self, job):
        self.versions = {"jax": jax.__version__}
        g, d = ([jnp.asarray(a) for a in arrays] for arrays in job.weights)
        with_norm = job.recipe == "mnist"
        g_layers = [tuple(g[i : i + 4]) for i in range(0, len(g) - 2, 6)] if with_norm else [tuple(g[:2])]
        statistics = [tuple(g[i + 4 : i + 6]) for i in range(0, len(g) - 2, 6)] if with_norm else [()]
        g_layers.append(tuple(g[-2:]))
        d_layers = [tuple(d[i : i + 2]) for i in range(0, len(d), 2)]
        self.state = (g_layers, statistics, no_moments(g_layers), d_layers, no_moments(d_layers))
        self.key = jax.random.key(0)
        images = None if job.images is None else jnp.asarray(job.images)

        def advance(carry, _=None):
            key, state = carry
            key, own = jax.random.split(key)
            return (key, step(job, state, *draw(job, images, own))), None

        self.step = jax.jit(partial(step, job), donate_argnums=0)
        if job.peer == "jax-scan":
            self.stride = SCAN_STEPS[job.recipe]
            self.advance = jax.jit(lambda carry: jax.lax.scan(advance, carry, length=self.stride)[0], donate_argnums=0)
        else:
            self.stride = 1
            self.advance = jax.jit(lambda carry: advance(carry)[0], donate_argnums=0)

    def run(self, n):
        carry, calls = (self.key, self.state), -(-n // self.stride)
        for _ in range(calls):
            carry = self.advance(carry)
        self.key, self.state = jax.block_until_ready(carry)
        return calls * self.stride

    def train(self, *batch):
        self.state = self.step(self.state, *batch)

    def weights(self):
        g, statistics, _, d, _ = self.state
        hidden = [array for layer, pair in zip(g[:-1], statistics, strict=True) for array in (*layer, *pair)]
        return [*hidden, *g[-1], *(array for layer in d for array in layer)]


def no_moments(parameters):
    return jnp.zeros(()), jax.tree.map(jnp.zeros_like, parameters), jax.tree.map(jnp.zeros_like, parameters)


if __name__ == "__main__":
    serve(Trainer)
