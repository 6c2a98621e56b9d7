"""The known ends of a lost training: each is told of with its number, and healthy or short trainings are left alone."""

import numpy as np
import pytest

from numgan import cli
from numgan.gan import objectives
from numgan.gan.history import History
from numgan.gan.objectives import OBJECTIVES, NonSaturating
from numgan.study import recipes, runs
from numgan.study.ends import LEAST, WINDOW, ends
from numgan.study.settings import with_overrides
from tests.helpers import rng

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

HEALTHY = {
    "d_loss_real": 0.7, "d_loss_fake": 0.7, "d_accuracy_real": 0.5, "d_accuracy_fake": 0.5, "g_loss": 0.7,
    "g_accuracy": 0.5, "d_real": 0.5, "d_fake": 0.5, "value": -1.4, "score_real": 0.2, "score_fake": 0.1,
    "d_loss": 0.7,
}  # fmt: skip
REAL, FAKE = (rng(seed).normal(0, 1, (500, 2)).astype(np.float32) for seed in (1, 2))


def gan_of(objective):
    recipe = recipes.get("sine")
    return recipe.build(with_overrides(recipe.settings, {"objective": objective}), rng(), "float32")


def told(objective="non-saturating", steps=LEAST, healthy_at=(), samples=FAKE, rows=REAL, gan=None, **columns):
    """What is said of a history that is healthy but for these columns."""
    history = History(objective)
    held = {name: np.full(steps, float(HEALTHY[name])) for name in history.objective.columns}
    for name, value in columns.items():
        held[name][...] = value
        held[name][list(healthy_at)] = HEALTHY[name]
    history.load_state_dict(held)
    return ends(gan or gan_of(objective), history, samples, rows)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_nothing_is_said_of_a_healthy_training(objective):
    assert told(objective) == told(objective, samples=2 * FAKE) == told(objective, samples=FAKE / 3) == []


@pytest.mark.parametrize(("objective", "column", "size", "spared"), [
    ("non-saturating", "g_loss", 5e12, 20), ("minimax", "g_loss", -100, -20), ("minimax", "d_loss_fake", 1e3, 20),
    ("wasserstein", "score_fake", -1e8, -1e4), ("wasserstein", "g_loss", 1e8, 1e4),
    ("least-squares", "d_loss_real", 1e8, 1e4), ("hinge", "score_real", 1e8, 1e4), ("relativistic", "d_loss", 1e8, 1e4),
])  # fmt: skip
def test_a_loss_without_bound_is_told_of_by_name(objective, column, size, spared):
    (text,) = told(objective, **{column: size})
    assert text == f"{column} has grown without bound: mean size {abs(size):.3g} over the last 200 steps"
    assert told(objective, **{column: spared}) == []


@pytest.mark.parametrize("objective", ["non-saturating", "minimax"])
def test_a_discriminator_that_is_certain_for_good_is_told_of(objective):
    sure = {"d_real": 0.9991, "d_fake": 0.0004}
    (text,) = told(objective, **sure)
    assert text.startswith("the discriminator is certain: in each of the last 200 steps D is at least 0.9991 on real")
    assert text.endswith("at most 0.0004 on generated ones")
    assert told(objective, **sure, healthy_at=[LEAST - WINDOW]) == []  # in doubt once, within the window
    assert told(objective, **sure, healthy_at=range(LEAST - WINDOW)) == [text]  # before it
    assert told(objective, d_real=0.9991) == told(objective, d_fake=0.0004) == []


@pytest.mark.parametrize(("objective", "sign"), [("non-saturating", 1), ("minimax", -1)])
def test_a_generator_whose_loss_is_flat_has_no_gradient(objective, sign):
    (text,) = told(objective, g_loss=sign * 2e-4)
    assert text == "the generator has no gradient: its loss, which bounds that, is at most 0.0002 in size"
    assert told(objective, g_loss=sign * 2e-3) == []


def test_a_critic_s_small_loss_is_no_flat_one():
    """Least squares' own is 0 where the generator has all that it wants."""
    for objective in OBJECTIVES:
        if not objectives.get(objective).probabilities:
            assert told(objective, g_loss=0) == []


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_discriminator_of_dead_units_gives_no_gradient(objective):
    gan = gan_of(objective)
    gan.discriminator.parameters()["dense_1.weight"][...] = 0
    (text,) = told(objective, gan=gan)
    said = gan.discriminator.predict(REAL)[0, 0]
    assert text == f"the generator has no gradient: the discriminator says {said:.4g} of every row, real or not"


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_samples_that_are_all_alike_have_collapsed(objective):
    (text,) = told(objective, samples=3 + 1e-3 * FAKE)
    assert text == "the samples have collapsed: their standard deviation is 0.001, the data's 0.99"
    assert told(objective, samples=3 + 0.2 * FAKE) == []


@pytest.mark.parametrize(("samples", "size"), [(1e6 * FAKE, "1e+06"), (np.where(FAKE > 2, np.inf, FAKE), "nan")])
def test_samples_beyond_all_data_are_told_of(samples, size):
    (text,) = told(samples=samples)
    assert text == f"the samples have left the data: their standard deviation is {size}, the data's 0.99"


def test_data_that_is_all_alike_is_no_collapse():
    assert told(samples=np.ones_like(FAKE), rows=np.ones_like(REAL), gan=gan_of("minimax"))[0].startswith("the generat")
    assert not any("collapsed" in text for text in told(samples=np.ones_like(FAKE), rows=np.ones_like(REAL)))


def test_a_frozen_side_is_not_an_end():
    frozen = {"g_loss": np.nan, "g_accuracy": np.nan}
    assert told(**frozen, d_real=0.9999, d_fake=1e-6, samples=1e-6 * FAKE) == []
    frozen = {name: np.nan for name in NonSaturating.columns if name.startswith("d_") or name == "value"}
    assert told(**frozen) == told(**frozen, g_loss=1e-9, samples=0 * FAKE) == []


def test_nothing_is_said_of_a_short_training():
    lost = {"g_loss": 5e12, "d_real": 1, "d_fake": 0, "samples": 0 * FAKE}
    assert told(**lost, steps=LEAST - 1) == []
    assert len(told(**lost)) == 3


# ------------------------------------------------------------------------------------------------------- whole runs


def run(directory, name, **settings):
    recipe = recipes.get(name)
    with np.errstate(all="ignore"):
        return runs.train(recipe, with_overrides(recipe.settings, settings), out=directory, quiet=True)


SMALL = {"hidden": "16,24", "batch_size": 32, "steps": 500}


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize(("name", "settings", "beginnings"), [
    ("sine", {"learning_rate": 10, "steps": 1_000}, ["the generator has no gradient", "the samples have left"]),
    ("sine", {"learning_rate": 1_000, "steps": 1_000, "objective": "wasserstein"}, ["the samples have left the data"]),
    ("mnist", SMALL | {"learning_rate": 0.3}, ["g_loss has grown without bound"]),
])  # fmt: skip
def test_a_lost_run_says_how(name, settings, beginnings, tmp_path):
    lost = run(tmp_path / "run", name, **settings)
    assert lost.status == 0 and lost.stopped is None
    for beginning in beginnings:
        assert any(text.startswith(beginning) for text in lost.ends), lost.ends


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize(("name", "settings"), [
    ("sine", {"steps": 2_000}), ("sine-discriminator", {}),
    pytest.param("sine-discriminator", {"steps": 3_000}, marks=pytest.mark.slow),
    pytest.param("mnist-epochs", SMALL, marks=pytest.mark.slow),
    pytest.param("mnist", SMALL, marks=pytest.mark.slow), ("sine", {"steps": 2_000, "discriminator_steps": 0}),
    ("sine", {"steps": 50, "learning_rate": 10}),
], ids=str)  # fmt: skip
def test_a_healthy_frozen_or_short_run_says_nothing(name, settings, tmp_path):
    assert run(tmp_path / "run", name, **settings).ends == []


@pytest.mark.usefixtures("unrendered")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", "sine", "sine-discriminator", "ring"])  # of pictures and epochs: minutes
def test_the_recipes_as_they_are_say_nothing(name, tmp_path):
    assert run(tmp_path / "run", name).ends == []


@pytest.mark.usefixtures("unrendered")
def test_the_closing_summary_names_the_end_and_the_exit_status_is_0(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "sine", "--steps", "1000", "--set", "learning_rate=10", "--out", "run"]) == 0
    lost = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  lost: ")]
    assert any("the samples have left the data: their standard deviation is" in line for line in lost), lost
    assert cli.main(["train", "sine", "--steps", "1000", "--out", "healthy"]) == 0
    assert "lost" not in capsys.readouterr().out
