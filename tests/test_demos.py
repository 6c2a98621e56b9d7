"""Every script in demos/ runs from start to end as a process of its own, at reduced size; the bare kernels take the
same steps as GAN.
"""

import importlib.util
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from numgan import GAN, Adam, Dense, ReLU, Sequential, Sigmoid, check_gradients
from numgan.study.jobs import Outcome
from numgan.study.studies import Result, Study
from tests.helpers import near

ROOT = Path(__file__).parents[1]
DEMOS = sorted((ROOT / "demos").glob("*.py"))

# script -> arguments that make it small; its pictures, if it draws any, go to "pictures"
REDUCED = {
    "bare_kernels": ["--steps", "300", "--out", "pictures"],
    "broken_on_purpose": ["--steps", "100", "--out", "pictures"],
    "dirac_gan": ["--steps", "30", "--out", "pictures"],
    "exchange_weights_with_pytorch": [],
    "fifty_epochs": ["--epochs", "1", "--out", "pictures"],
    "keras_listing": ["--steps", "3", "--out", "pictures"],
    "minimax_game": ["--steps", "30", "--out", "pictures"],
    "port_one_optimizer": ["--steps", "20"],
    "port_train_on_batch": ["--steps", "20"],
    "rate_and_batch": ["--rates", "1e-4", "--batches", "32,128", "--epochs", "1", "--seeds", "1", "--out", "pictures"],
    "sine_article": ["--steps", "300", "--out", "pictures"],
}


def run(script, *arguments, cwd, **environment):
    return subprocess.run([sys.executable, script, *arguments], cwd=cwd, capture_output=True, encoding="utf-8",
                          env=os.environ | {"PYTHONUTF8": "1"} | environment, timeout=300, check=False)  # fmt: skip


def assert_is_a_picture(path):
    """A PNG of sane size that shows something: parts that are not white, and differences among them."""
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    picture = matplotlib.image.imread(path)[..., :3]
    assert all(150 < side < 4000 for side in picture.shape[:2]), picture.shape
    assert (picture.min(axis=-1) < 0.9).mean() > 0.01 and picture.std() > 0.05


LONG = ("broken_on_purpose", "dirac_gan", "fifty_epochs", "minimax_game", "rate_and_batch")


@pytest.mark.parametrize(
    "demo", [pytest.param(d, marks=pytest.mark.slow) if d.stem in LONG else d for d in DEMOS], ids=lambda d: d.stem
)
def test_a_demo_runs(demo, tmp_path):
    assert demo.stem in REDUCED, (
        f"demos/{demo.name} is new: add its reduced arguments to REDUCED in {Path(__file__).name}"
    )
    done = run(demo, *REDUCED[demo.stem], cwd=tmp_path)
    if "torch" in demo.stem and importlib.util.find_spec("torch") is None:
        return assert_asks_for_pytorch(done)
    assert done.returncode == 0, done.stderr
    assert done.stdout and "Traceback" not in done.stderr and "Warning" not in done.stderr
    pictures = list(tmp_path.glob("pictures/*.png"))
    assert bool(pictures) == ("--out" in REDUCED[demo.stem])
    assert sorted(tmp_path.iterdir()) == [tmp_path / "pictures"] * bool(pictures)
    for picture in pictures:
        assert_is_a_picture(picture)
        assert str(Path("pictures", picture.name)) in done.stdout


def test_every_entry_has_its_script():
    assert REDUCED.keys() - {demo.stem for demo in DEMOS} == set()


def assert_asks_for_pytorch(done):
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "this demo needs PyTorch, to be had with `pip install torch`: No module named 'torch'\n"


def test_without_pytorch_the_exchange_says_so(tmp_path):
    """A module `torch` that cannot be imported stands before an installed one."""
    (tmp_path / "torch.py").write_text("""raise ModuleNotFoundError("No module named 'torch'")\n""")
    assert_asks_for_pytorch(
        run(ROOT / "demos/exchange_weights_with_pytorch.py", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    )


@pytest.mark.parametrize("name, arguments, phrase", [
    ("bare_kernels", ["--steps", "0"], "expected --steps from 1"),
    ("bare_kernels", ["--out", "file"], "file"),
    ("broken_on_purpose", ["--steps", "9"], "expected --steps from 10 and --seed from 0, got 9 and 0"),
    ("dirac_gan", ["--steps", "1"], "expected --steps from 2"),
    ("fifty_epochs", ["--epochs", "0"], "expected --epochs from 1"),
    ("fifty_epochs", ["--data", "nowhere"], "nowhere does not exist"),
    ("rate_and_batch", ["--seeds", "0"], "expected --epochs and --seeds from 1, got 50 and 0"),
    ("rate_and_batch", ["--out", "file"], "file exists and is not a directory"),
    ("keras_listing", ["--steps", "0"], "expected --steps from 1, got 0"),
    ("keras_listing", ["--out", "file"], "file"),
    ("keras_listing", ["--data", "nowhere"], "nowhere does not exist"),
    ("sine_article", ["--seed", "-1"], "expected --steps from 1 and --seed from 0"),
])  # fmt: skip
def test_bad_arguments_are_refused_in_a_sentence(name, arguments, phrase, tmp_path, monkeypatch, capsys):
    """In this process."""
    (tmp_path / "file").write_text("mine")
    script = str(ROOT / "demos" / f"{name}.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(script, run_name="__main__")
    printed = capsys.readouterr()
    assert (stop.value.code, printed.out) == (2, "")
    assert phrase in printed.err.splitlines()[-1]
    assert (tmp_path / "file").read_text() == "mine"


def test_without_out_pictures_go_where_git_does_not_look(tmp_path):
    """From a copy of the script: it needs nothing beside it."""
    script = shutil.copy(ROOT / "demos/bare_kernels.py", tmp_path)
    done = run(script, "--steps", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_is_a_picture(tmp_path / "demos-output/bare_kernels/points.png")
    assert "demos-output/" in (ROOT / ".gitignore").read_text().splitlines()


# ---------------------------------------------------------------- the listing


def test_the_listing_trains_on_files_of_its_users(tmp_path):
    embedded = Path(importlib.util.find_spec("numgan").origin).parent / "data/mnist_5k"
    shutil.copytree(embedded, tmp_path / "digits")
    done = run(ROOT / "demos/keras_listing.py", "--data", "digits", "--steps", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "X_train reshape: (5000, 784)" in done.stdout
    assert "581,520 parameters are trained, 265,601 frozen" in done.stdout


# ---------------------------------------------------------------- bare kernels


def module_of(name):
    """A demo as a new module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"demos/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bare():
    return module_of("bare_kernels")


def same_gan(bare, a, dtype):
    """numgan.GAN with the networks, the optimisers and the weights of the demo's arrays."""
    rng = np.random.default_rng(0)
    generator = Sequential([Dense(25), ReLU(), Dense(2)], 5, rng, dtype)
    discriminator = Sequential([Dense(25), ReLU(), Dense(1), Sigmoid()], 2, rng, dtype)
    generator.values[...], discriminator.values[...] = a.g_theta, a.d_theta
    return GAN(generator, discriminator, *(Adam(bare.RATE, bare.BETA1, bare.BETA2, bare.EPSILON) for _ in range(2)))


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-6), ("float64", 1e-12)])
def test_bare_kernels_take_the_steps_of_gan(bare, dtype, tolerance):
    """Same weights, points and noise: losses, gradients and parameters agree over twenty steps."""
    n, rng = 64, np.random.default_rng(1)
    a = bare.allocate(n, dtype)
    bare.initialize(a, rng)
    gan = same_gan(bare, a, dtype)
    first = a.g_theta.copy(), a.d_theta.copy()
    for _ in range(20):
        t = rng.standard_normal(n)
        real = np.stack([t, np.sin(t)], axis=1)
        noise, generator_noise = rng.standard_normal((2, n, 5))
        bare.training_step(a, real.T, noise.T, generator_noise.T)
        expected = gan.train_discriminator(real, noise).loss, gan.train_generator(generator_noise).loss
        np.testing.assert_allclose(bare.last_losses(a), expected, rtol=10 * tolerance)
    for network, theta, gradient, start in (
        (gan.generator, a.g_theta, a.g_grad, first[0]),
        (gan.discriminator, a.d_theta, a.d_grad, first[1]),
    ):
        assert np.abs(theta - start).max() > 0.01
        assert theta.dtype == gradient.dtype == np.dtype(dtype)
        np.testing.assert_allclose(gradient, network.grads, atol=tolerance, rtol=0)
        np.testing.assert_allclose(theta, network.values, atol=tolerance, rtol=0)
    noise = rng.standard_normal((n, 5))
    np.testing.assert_allclose(bare.generate(a, noise.T).T, gan.generator.predict(noise), atol=10 * tolerance, rtol=0)


@pytest.mark.parametrize("k, stride, padding", [(3, 1, 1), (4, 2, 1), (2, 3, 0), (3, 2, 2), (1, 1, 0)])
def test_a_convolution_in_plain_loops_is_that_of_the_kernels(bare, k, stride, padding):
    """Image by image: outputs and all three gradients, the parameters' summed up over the images."""
    rng = np.random.default_rng(2)
    x, weight, bias = rng.normal(size=(2, 5, 6, 3)), rng.normal(size=(4, 2, k, k)), rng.normal(size=4)
    size = [(pixels + 2 * padding - k) // stride + 1 for pixels in (5, 6)]
    dy = rng.normal(size=(4, *size, 3))
    y, dx, dweight, dbias = bare.convolve_with_kernels(x, weight, bias, dy, stride, padding)
    plain = [bare.convolve_backward(x[..., n], weight, dy[..., n], stride, padding) for n in range(3)]
    for n in range(3):
        near(y[..., n], bare.convolve(x[..., n], weight, bias, stride, padding), 1e-12)
        near(dx[..., n], plain[n][0], 1e-12)
    near(dweight, sum(part[1] for part in plain), 1e-12)
    near(dbias, sum(part[2] for part in plain), 1e-12)


@pytest.mark.parametrize("stride, padding", [pytest.param(1, 1, marks=pytest.mark.slow), (2, 0)])
def test_the_plain_loops_gradients_are_right(bare, stride, padding):
    """By differences, without any kernel: the loops stand on their own feet."""
    rng = np.random.default_rng(3)
    point = {"x": rng.normal(size=(2, 4, 5)), "weight": rng.normal(size=(3, 2, 3, 3)), "bias": rng.normal(size=3)}

    def f(x, weight, bias):
        return bare.convolve(x, weight, bias, stride, padding)

    def gradient(x, weight, bias, dy):
        return dict(zip(point, bare.convolve_backward(x, weight, dy, stride, padding), strict=True))

    check_gradients(f, point, gradient=gradient).raise_for_failure()


def test_bare_kernels_learn(bare, capsys):
    """Before training the points are nowhere near the curve, after 3,000 steps most of the way is done."""
    snapshots = bare.train(3000, seed=0)
    errors = [np.abs(y - np.sin(x)).mean() for x, y in (points.T for _, points in snapshots)]
    assert len(snapshots) == 8 and errors[0] > 0.4 and errors[-1] < 0.15
    last = snapshots[-1][1]
    assert len(np.unique(last, axis=0)) == len(last) == 1024
    assert 0.7 < last[:, 0].std() < 1.3
    assert len(capsys.readouterr().out.splitlines()) == 9


# ---------------------------------------------------------------- the Dirac-GAN


@pytest.fixture
def dirac():
    """demos/dirac_gan.py as a module of this test's own, without its picture."""
    module = module_of("dirac_gan")
    module.draw = lambda steps, path: None
    return module


def exit_code(dirac, steps, out):
    with pytest.raises(SystemExit) as caught:
        dirac.main(["--steps", str(steps), "--out", str(out)])
    return int(caught.value.code)


def wrong_weight(dirac):
    """R1 without its ½."""
    kind = dirac.PENALTIES["r1"]
    dirac.PENALTIES = dirac.PENALTIES | {"r1": lambda weight: kind(2 * weight)}


def wrong_sign_of_the_penalty(dirac):
    right = dirac.flow
    dirac.flow = lambda c, gamma: right(c, -gamma)


def wrong_sign_of_the_generator(dirac):
    def backward_parameters(self, x, y, dy):
        self.grads["theta"][...] = -dy.sum(axis=0)

    dirac.Place.backward_parameters = backward_parameters


def wrong_gamma(dirac):
    """By a thousandth, in theory alone."""
    right = dirac.flow
    dirac.flow = lambda c, gamma: right(c, 1.001 * gamma)


def wrong_order(dirac):
    """Both sides at once where they should take turns, and the other way round."""
    right = dirac.play
    dirac.play = lambda gan, steps, alternating=True: right(gan, steps, not alternating)


def halved_loss(dirac):
    """c² is the product of both sides' slopes, ½ and ¼ if the discriminator's loss is the mean of its two."""
    dirac.GAMES = dirac.GAMES | {"minimax": (1 / 8**0.5, 0)}


PLANTS = [wrong_weight, wrong_sign_of_the_penalty, wrong_sign_of_the_generator, wrong_gamma, wrong_order, halved_loss]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_the_dirac_gan_fails_where_theory_and_training_differ(plant, dirac, tmp_path, capsys):
    plant(dirac)
    assert exit_code(dirac, 20, tmp_path) == 1
    assert "bound NOT held" in capsys.readouterr().out


@pytest.mark.slow
def test_the_dirac_gan_holds_its_bounds_at_full_length(dirac, tmp_path, capsys):
    assert exit_code(dirac, dirac.STEPS, tmp_path) == 0
    assert capsys.readouterr().out.count("bound held") == 2


def wrong_next_term(dirac):
    """As if minimax came nearer like the non-saturating game."""
    dirac.GAMES = dirac.GAMES | {"minimax": dirac.GAMES["non-saturating"]}


def wrong_decay(dirac):
    """A mean over 50 steps where theory has 100."""
    right = dirac.dirac_gan
    dirac.dirac_gan = lambda *given, average=None, **named: right(*given, average=average and 0.98, **named)


def large_weight(dirac):
    """A WGAN-GP whose λ is not small: 4/π holds to first order."""
    dirac.LAMBDA = 1.0


@pytest.mark.slow
@pytest.mark.parametrize("plant", [wrong_next_term, wrong_decay, large_weight], ids=lambda plant: plant.__name__)
def test_at_full_length_it_fails_where_the_first_order_is_wrong(plant, dirac, tmp_path, capsys):
    plant(dirac)
    assert exit_code(dirac, dirac.STEPS, tmp_path) == 1
    printed = capsys.readouterr().out
    assert printed.count("bound held") == printed.count("bound NOT held") == 1


# ---------------------------------------------------------------- broken on purpose


@pytest.fixture
def broken():
    """demos/broken_on_purpose.py as a module of this test's own."""
    return module_of("broken_on_purpose")


FAULTY = {  # failure -> what gives it away, in a few steps already, and what a gradient check sees
    "not_frozen": (lambda healthy, number: number > healthy + 0.1, "the generator's step changed the frozen"),
    "batch_norm": (lambda healthy, number: healthy < 1e-6 and number > 1e-3, "a mean's share along axis 0 forgotten"),
    "wrong_axis": (lambda healthy, number: number > 1.3 * healthy, "gradient at ‖w‖"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTY)
def test_a_fault_is_given_away_by_its_number_and_caught_by_its_check(name, broken):
    given_away, seen = FAULTY[name]
    failure = getattr(broken, name)(400, 0)
    assert given_away(failure.healthy.number(), failure.broken.number())
    (sentence,) = failure.told(failure.broken)
    assert seen in sentence and failure.told(failure.healthy) == []
    first, other = (game.history[game.history.objective.columns[0]][0] for game in (failure.healthy, failure.broken))
    assert first == other  # from the same start


# ---------------------------------------------------------------- rate and batch


def test_the_answer_says_which_setting_helps_and_whether_by_more_than_a_seed():
    def cell(rate, batch, distances):
        row = {"name": "frechet_distance", "real": 1.17, "better": "lower: it is nearer"}
        outcomes = {seed: Outcome({"measures": [row | {"value": d}]}) for seed, d in enumerate(distances)}
        return Result({"learning_rate": rate, "batch_size": batch}, 50, outcomes, Path())

    cells = [cell(1e-4, 32, (20, 21, 22)), cell(1e-4, 16, (19, 20.5, 25)), cell(4e-4, 32, (8, 9, 19.5)),
             cell(4e-4, 16, (5, 6, 7)), cell(1e-4, 64, (90, 91, 92))]  # fmt: skip
    found = Study("mnist-epochs", None, "epochs", cells, Path())
    assert list(module_of("rate_and_batch").answer(found)) == [
        "as it is        rate 0.0001, batches of 32: 21 (seeds from 20 to 22)",
        "the rate alone  rate 0.0004, batches of 32: 9 (seeds from 8 to 19.5); "
        "better in every seed than any seed of the recipe",
        "batches alone   rate 0.0001, batches of 16: 20.5 (seeds from 19 to 25); seeds differ as much as that",
        "both            rate 0.0004, batches of 16: 6 (seeds from 5 to 7); "
        "better in every seed than any seed of the recipe",
        "real digits     1.17",
    ]
    found.cells[2:4] = []
    assert "the rate alone  no better than as it is" in list(module_of("rate_and_batch").answer(found))
