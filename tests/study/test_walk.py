"""`numgan sample RUN --walk`: the way through the noise, and the animation of what is made on it."""

import math

import numpy as np
import pytest
from PIL import Image

from numgan.study.walk import closed_walk, spherical
from tests.helpers import DTYPES, rng


@pytest.mark.parametrize("dtype", DTYPES)
def test_half_way_between_right_angles_lies_on_the_circle(dtype):
    p, q = np.array([[3, 0], [0, 2]], dtype), np.array([[0, 3], [-2, 0]], dtype)
    middle = spherical(p, q, 0.5)
    half = math.sqrt(0.5)
    np.testing.assert_allclose(middle, [[3 * half, 3 * half], [-2 * half, 2 * half]], rtol=1e-6)
    assert middle.dtype == dtype


def test_a_third_of_the_way_is_a_third_of_the_angle():
    p, q = rng().normal(size=(2, 5, 4, 3))  # five rows of any shape
    q *= (np.linalg.norm(p.reshape(5, -1), axis=1) / np.linalg.norm(q.reshape(5, -1), axis=1))[:, None, None]

    def angle(a, b):
        a, b = a.reshape(5, -1), b.reshape(5, -1)
        return np.arccos((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))

    third = spherical(p, q, 1 / 3)
    np.testing.assert_allclose(angle(p, third), angle(p, q) / 3, rtol=1e-9)
    np.testing.assert_allclose(angle(third, q), angle(p, q) * 2 / 3, rtol=1e-9)
    np.testing.assert_allclose((third**2).sum(axis=(1, 2)), (p**2).sum(axis=(1, 2)), rtol=1e-9)


def test_on_one_line_through_zero_the_way_is_straight():
    p, q = np.array([[1.0, 2], [1, 2], [0, 0]]), np.array([[2.0, 4], [-1, -2], [3, 4]])
    np.testing.assert_allclose(spherical(p, q, 0.25), 0.75 * p + 0.25 * q, rtol=1e-12)


def test_a_walk_goes_by_every_stop_in_even_strides_and_closes_on_itself():
    stops = rng().normal(size=(3, 2, 50))
    frames = closed_walk(stops, 4)
    assert len(frames) == 12
    np.testing.assert_allclose(frames[::4], stops, rtol=1e-12)
    np.testing.assert_allclose(frames[-1], spherical(stops[2], stops[0], 0.75), rtol=1e-12)
    moves = [np.linalg.norm(after - before) for before, after in zip(frames, [*frames[1:], frames[0]], strict=True)]
    assert max(moves) < 1.5 * min(moves)


@pytest.mark.parametrize("recipe", ["mnist-conditional", pytest.param("ring", marks=pytest.mark.slow)])
def test_a_walk_is_an_animation_whose_condition_stays(recipe, call, tmp_path, monkeypatch):
    monkeypatch.setattr("numgan.study.runs.STRIDES", 1)
    label = ["--label", "7"] if recipe == "mnist-conditional" else []
    assert call("train", recipe, "--steps", 2, "--set", "hidden=8,6", "--batch-size=8", "--out=run", "--quiet")[0] == 0
    before = sorted((tmp_path / "run").iterdir())
    status, out, error = call("sample", "run", "-n", 4, *label, "--walk", "walk.gif")
    assert (status, error) == (0, "") and out.startswith("walk.gif: 4 samples on a walk")
    assert ("of the averaged generator" in out) == bool(label)
    assert sorted((tmp_path / "run").iterdir()) == before
    with Image.open(tmp_path / "walk.gif") as file:
        assert file.n_frames == 5 and file.info["loop"] == 0
    first = (tmp_path / "walk.gif").read_bytes()
    for arguments, phrase in (
        (["--walk", "walk.png"], "walk.png should end in .gif"),
        (["--walk", "nowhere/walk.gif"], "nowhere is not a directory"),
        (["--walk", "walk.gif", "-n", 1_001], "a walk shows at most 1,000 samples, got 1,001"),
        (["--walk", "walk.gif", "--out", "a.png"], "not allowed with argument --walk"),
    ):
        status, out, error = call("sample", "run", *arguments)
        assert status == 2 and out == "" and phrase in error
    assert (tmp_path / "walk.gif").read_bytes() == first
