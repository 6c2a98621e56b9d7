"""`numgan evaluate RUN --neighbours`: which samples repeat, and what lies beside them."""

import numpy as np
import pytest

from numgan.data import DataError, Digits, Images, Labelled, SinePoints
from numgan.data.images import to_unit_range
from numgan.study import metrics, neighbours
from numgan.study.neighbours import NEAREST, ROWS, nearest_others
from tests.helpers import rng


def test_the_nearest_rows_come_in_order():
    a, b = rng().normal(size=(300, 3)), rng(1).normal(size=(40, 3))
    distances, index = metrics.nearest_rows(a, b, 4)
    every = np.sqrt(((a[:, None] - b) ** 2).sum(axis=-1))
    np.testing.assert_array_equal(index, np.argsort(every, axis=1)[:, :4])
    np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :4], rtol=1e-6)
    np.testing.assert_allclose(distances[:, 0], metrics.nearest_distances(a, b), rtol=1e-12)


def test_a_row_is_no_neighbour_of_itself_but_one_equal_to_it_is():
    rows = rng().normal(size=(30, 3))
    rows[5:15] = rows[4]  # eleven of them, more than are asked for
    distances, index = nearest_others(rows, 4)
    assert index.shape == (30, 4) and not (index == np.arange(30)[:, None]).any()
    assert np.isin(index[4:15], np.arange(4, 15)).all() and distances[4:15].max() < 1e-6
    assert distances[15:].min() > 1e-3


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """drawn(samples, training, held_out): the blocks of pictures, and the title."""

    def draw(samples, training, held_out):
        found = []
        monkeypatch.setattr(
            neighbours.plots, "side_by_side", lambda blocks, n, title, path: found.append((blocks, title))
        )
        neighbours.draw(samples, training, held_out, "title", tmp_path / "a.png")
        return found[0]

    return draw


def pixels(n, seed=0):
    return rng(seed).integers(0, 256, (n, 784), dtype=np.uint8)


@pytest.mark.parametrize("kind", [
    Digits,
    lambda images: Images(images.reshape(-1, 1, 28, 28)),
    lambda images: Labelled(Digits(images, np.zeros(len(images), np.uint8))),
])  # fmt: skip
def test_what_repeats_is_shown_beside_its_copies_and_the_training_pictures_that_it_is_like(kind, drawn):
    training, made = pixels(40), pixels(60, 1)
    for i in range(3):  # three samples occur six times, and each is a training picture but for a pixel
        made[10 * i : 10 * i + 6] = training[i]
        made[10 * i : 10 * i + 6, 0] ^= 1
    blocks, title = drawn(to_unit_range(made), kind(training), kind(pixels(20, 2)))
    sample, others, copied = (
        block.reshape(-1, count, 784) for block, count in zip(blocks.values(), (1, NEAREST, NEAREST), strict=True)
    )
    assert len(sample) == len(others) == len(copied) <= ROWS
    for i in range(3):
        np.testing.assert_array_equal(others[i], np.repeat(sample[i], NEAREST, axis=0))
        (at,) = np.flatnonzero((training[:, 1:] == sample[i, 0, 1:]).all(axis=1))
        np.testing.assert_array_equal(copied[i, 0], training[at])
    assert len({row.tobytes() for row in sample}) == len(sample)  # none twice
    assert title.startswith("title\nmedian distance to the nearest other: samples ") and ", real " in title


def test_what_cannot_be_looked_through_is_refused(drawn):
    with pytest.raises(DataError, match="are no pictures to look through"):
        drawn(np.zeros((10, 2)), SinePoints(), SinePoints())
    with pytest.raises(DataError, match="cannot show which of 5 samples repeat; expected more than 5"):
        drawn(np.zeros((5, 784)), Digits(pixels(9)), Digits(pixels(9)))


@pytest.mark.slow  # that it says where to look is in test_evaluation too
def test_a_run_that_collapsed_says_where_to_look_and_leaves_the_picture_where_asked(call, tmp_path):
    train = ["train", "mnist", "--steps", 2, "--set", "hidden=8,6", "--batch-size=8", "--out=run", "--quiet"]
    assert call(*train)[0] == 0
    status, out, _ = call("evaluate", "run", "-n", 20)
    assert status == 0 and out.endswith("look at it: numgan evaluate run --neighbours collapse.png\n")
    status, out, _ = call("evaluate", "run", "-n", 20, "--neighbours", "collapse.png")
    assert status == 0 and out.endswith("collapse.png: samples that repeat, beside their nearest neighbours\n")
    assert (tmp_path / "collapse.png").read_bytes()[:4] == b"\x89PNG" and "look at it" not in out
    status, _, error = call("evaluate", "run", "--neighbours", "collapse.gif")
    assert status == 2 and "--neighbours collapse.gif should end in .png" in error
