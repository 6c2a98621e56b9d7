"""Runs with averaged weights: all that shows samples shows the average's, and says so."""

import json

import numpy as np
import pytest

from numgan import GAN
from numgan.study import plots, seeds
from tests.helpers import rng

SINE = ("train", "sine", "--steps", "20", "--set", "snapshot_every=10", "--out", "run")
OF = "of the averaged generator, decay 0.9 (now 0.7)"  # (1 + 20)/(10 + 20)


@pytest.fixture
def drawn(monkeypatch):
    """[(title, samples)] of the pictures of samples. None is drawn: that takes most of a test's time."""
    seen = []
    monkeypatch.setattr(plots, "point_samples", lambda samples, real, title, path: seen.append((title, samples)))
    for other in ("evolution", "history"):
        monkeypatch.setattr(plots, other, lambda *arguments: None)
    return seen


def test_a_run_says_that_its_samples_are_of_the_average(call, drawn):
    status, out, _ = call(*SINE, "--set", "average=0.9")
    assert status == 0 and f"\nsamples and pictures are {OF}\n" in out
    gan = GAN.load("run/model.npz")
    sample_rng, _ = rng(5).spawn(2)
    noise = sample_rng.standard_normal((70, *gan.generator.shapes[0]), dtype="float32")
    assert (gan.sampler.predict(noise) != gan.generator.predict(noise)).any()
    for name in ("more.npy", "more.png"):
        assert call("sample", "run", "-n", 70, "--seed", 5, "--out", name)[1] == f"{name}: 70 samples {OF}\n"
    np.testing.assert_array_equal(np.load("more.npy"), gan.sampler.predict(noise))
    np.testing.assert_array_equal(drawn[1][1], gan.sampler.predict(noise))
    titles = [f"sine: samples after 20 steps, seed 0\n{OF}", f"sine: 70 samples, seed 5\n{OF}"]
    assert [title for title, _ in drawn] == titles
    assert call("evaluate", "run", "-n", 100)[1].startswith(f"100 samples of run (sine, seed 0), {OF}\ncompared with ")
    assert json.loads(call("evaluate", "run", "-n", 100, "--json")[1])["average"] == 0.9


def test_a_run_without_one_says_nothing_of_it(call, drawn):
    said = call(*SINE)[1] + call("sample", "run")[1] + call("evaluate", "run", "-n", 100)[1]
    assert "average" not in said + "".join(title for title, _ in drawn)
    assert json.loads(call("evaluate", "run", "-n", 100, "--json")[1])["average"] is None


def test_the_summary_lists_the_average_and_its_update(call):
    out = call("summary", "sine", "--step", "--set", "average=0.999")[1]
    assert "\nsamples: of the averaged generator, decay 0.999\n" in out and out.count("average_update") == 1


def test_a_table_of_seeds_says_it_too():
    measure = {"name": "curve_error", "value": 0.1, "real": 0.0, "better": "lower"}
    evaluation = {"measures": [measure], "collapsed": None}
    runs = [seeds.SeedRun(0, "run", evaluation | {"average": 0.99}, None)]
    assert "\nsamples are of the averaged generators, decay 0.99\n" in seeds.table(runs)
    assert "average" not in seeds.table([seeds.SeedRun(0, "run", evaluation, None)])
