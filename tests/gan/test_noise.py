"""What the generator starts from: normal noise, or uniform, in `fit`, `sample` and all else that draws some."""

import numpy as np
import pytest

from numgan import GAN, Dense, Error, ModelFileError, Sequential, Sigmoid
from numgan.data import SinePoints
from numgan.gan.equilibrium import Equilibrium
from tests.helpers import DTYPES, rng, state

ROWS = rng(9).normal(size=(40, 3))


def showing(noise="uniform", dtype="float32", replicas=None):
    """A GAN whose generator shows its noise: weights of one, and biases of none."""
    g = Sequential([Dense(3)], 3, rng(), dtype, replicas)
    gan = GAN(g, Sequential([Dense(1), Sigmoid()], 3, rng(), dtype, replicas), noise=noise)
    g.parameters()["dense_1.weight"][...] = np.eye(3)
    return gan


def looks_uniform(x):
    x = np.asarray(x, np.float64).ravel()
    sure = 5 / np.sqrt(len(x))  # five standard errors, of numbers whose powers are at most 1
    return -1 <= x.min() < -0.8 and 0.8 < x.max() < 1 and abs(x.mean()) < sure and abs((x**2).mean() - 1 / 3) < sure


@pytest.mark.parametrize("replicas", [None, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_samples_start_from_the_noise_that_the_gan_has(dtype, replicas):
    uniform, normal = (showing(noise, dtype, replicas).sample(2_000, rng()) for noise in ("uniform", "normal"))
    assert uniform.shape == (*[2] * (replicas is not None), 2_000, 3) and uniform.dtype == dtype
    assert looks_uniform(uniform) and not looks_uniform(normal)
    assert np.array_equal(showing("normal", dtype, replicas).draw_noise(2_000, rng()), normal)
    assert np.array_equal(showing("uniform", dtype, replicas).draw_noise(2_000, rng()), uniform)


@pytest.mark.parametrize("noise", ["uniform", "normal"])
def test_both_steps_of_a_training_start_from_it(noise):
    gan = showing(noise)
    gan.fit(ROWS, 2, 500, rng())
    for step in (gan.discriminator_step(500), gan.generator_step(500)):
        assert looks_uniform(step.noise) == (noise == "uniform")


def test_the_equilibrium_is_judged_on_it(monkeypatch):
    g = Sequential([Dense(2)], 2, rng())
    gan, seen = GAN(g, Sequential([Dense(1), Sigmoid()], 2, rng()), noise="uniform"), []
    monkeypatch.setattr(gan.generator, "predict", lambda x: seen.append(x) or x)
    Equilibrium(gan, SinePoints(), 0.05, rng()).check(1)
    assert looks_uniform(seen[0])


def test_it_is_saved_loaded_copied_and_resumed(tmp_path):
    gan, path = showing(), tmp_path / "gan.npz"
    gan.fit(ROWS, 3, 8, rng(1), checkpoint=path)
    for other in (GAN.load(path), gan.copy()):
        assert other.noise == "uniform" and np.array_equal(other.sample(5, rng()), gan.sample(5, rng()))
    resumed, through = showing(), showing()
    resumed.fit(ROWS, 7, 8, rng(2), checkpoint=path, resume=True)
    through.fit(ROWS, 7, 8, rng(1))
    assert state(resumed) == state(through)
    with pytest.raises(ModelFileError, match="the training of a GAN with another noise"):
        showing("normal").fit(ROWS, 7, 8, rng(1), checkpoint=path, resume=True)


def test_a_file_that_says_nothing_of_it_is_of_normal_noise(tmp_path):
    gan = showing("normal")
    assert "noise" not in gan.config()
    gan.save(tmp_path / "gan.npz")
    assert GAN.load(tmp_path / "gan.npz").noise == "normal"


@pytest.mark.parametrize("noise", ["gaussian", None, 1, ["normal"]])
def test_noise_of_another_kind_is_refused(noise):
    with pytest.raises(Error, match=r"GAN: noise must be one of \('normal', 'uniform'\), got "):
        showing(noise)
