"""JAX: the jitted step of `jax_worker` for all replicas at once by `vmap`, looped inside `lax.scan`."""

from functools import partial

import jax
import jax.numpy as jnp

from benchmarks.workers.jax_worker import by_layer, draw, no_moments, step
from benchmarks.workers.serve import serve

SCAN_STEPS = 100  # inside one compiled loop


class Trainer:
    def __init__(self, job):
        self.versions = {"jax": jax.__version__}
        weights = [[a.swapaxes(1, 2) if a.ndim == 3 else a for a in own] for own in job.weights]
        g, d = (by_layer(*own) for own in zip(weights, job.layers, job.shapes, strict=True))
        moments = jax.vmap(no_moments)
        self.state = (g, [()] * len(g), moments(g), d, moments(d))
        self.keys = jax.random.split(jax.random.key(0), job.replicas)
        self.step = jax.jit(jax.vmap(partial(step, job)), donate_argnums=0)

        def one(key, state):
            key, own = jax.random.split(key)
            return key, step(job, state, *draw(job, None, own))

        def advance(carry, _):
            return jax.vmap(one)(*carry), None

        self.advance = jax.jit(lambda carry: jax.lax.scan(advance, carry, length=SCAN_STEPS)[0], donate_argnums=0)

    def run(self, n):
        carry, calls = (self.keys, self.state), -(-n // SCAN_STEPS)
        for _ in range(calls):
            carry = self.advance(carry)
        self.keys, self.state = jax.block_until_ready(carry)
        return calls * SCAN_STEPS

    def train(self, real, noise_d, noise_g):
        self.state = self.step(self.state, *map(jnp.asarray, (real, noise_d, noise_g)))

    def weights(self):
        g, _, _, d, _ = self.state
        return [a.swapaxes(1, 2) if a.ndim == 3 else a for network in (g, d) for own in network for a in own]


if __name__ == "__main__":
    serve(Trainer)
