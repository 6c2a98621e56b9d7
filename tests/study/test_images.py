"""The recipes on pictures as their users run them: summary, training, pictures, samples, evaluation, seeds."""

import json

import numpy as np
import pytest
from matplotlib.image import imread

from numgan import Conv2D, Conv2DTranspose, Dropout
from numgan.data import load_emoji
from numgan.data.images import to_pixels
from numgan.study import plots, recipes
from numgan.study.settings import SettingError, with_overrides
from tests.helpers import png_files, rng

IMAGES = ("mnist-dcgan", "stacked-mnist", "emoji", "pictures")
SMALL = ["--steps", "12", "--batch-size", "8", "--set", "filters=3,4", "--set", "snapshot_every=5"]


def data_of(name, tmp_path, **how):
    return ["--data", str(png_files(tmp_path / "png", **how))] if name == "pictures" else []


@pytest.mark.parametrize("name", ["pictures", *(pytest.param(n, marks=pytest.mark.slow) for n in IMAGES[:3])])
def test_a_recipe_on_pictures_trains_samples_and_is_evaluated(name, call, tmp_path):
    more = ["--set", "size=16"] if name in ("emoji", "pictures") else []
    status, out, err = call("train", name, *SMALL, *more, *data_of(name, tmp_path, n=64), "--out", "run")
    assert (status, err) == (0, "") and "over the last 12 of 12 steps" in out
    for picture in ("samples", "evolution", "history"):
        assert imread(tmp_path / "run" / f"{picture}.png").std() > 0
    side = 16 if more else 28
    shape = (1 if name == "mnist-dcgan" else 3, side, side)
    assert call("sample", "run", "-n", 30, "--out", "some.npy")[0] == 0
    samples = np.load(tmp_path / "some.npy")
    assert samples.shape == (30, *shape) and samples.dtype == np.float32 and np.abs(samples).max() <= 1
    status, out, err = call("evaluate", "run", "-n", 30, "--json")
    assert (status, err) == (0, "")
    measures = {m["name"]: m for m in json.loads(out)["measures"]}
    expected = {"modes", "kl_divergence", "confident_share"} if name == "stacked-mnist" else {"frechet_distance"}
    assert expected <= measures.keys()
    assert all(np.isfinite(m["real"]) for m in measures.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", IMAGES)
def test_seeds_of_a_recipe_on_pictures_are_compared(name, call, tmp_path):
    status, out, err = call("train", name, *SMALL, *data_of(name, tmp_path, n=64), "--seeds", "0-1", "--out", "runs")
    assert (status, err) == (0, "")
    assert "2 seeds collapsed" in out
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"seed-0", "seed-1", "seeds.json", "seeds.png"}


@pytest.mark.parametrize("name, size, filters", [
    ("mnist-dcgan", 28, "5,6"), ("stacked-mnist", 28, "5"), ("emoji", 32, "3,4,5"), ("emoji", 64, "2,3,4,5"),
    ("emoji", 16, "2"), ("pictures", 48, "3,4"),
])  # fmt: skip
def test_the_networks_mirror_each_other(name, size, filters):
    recipe = recipes.get(name)
    sized = {"size": size} if hasattr(recipe.settings, "size") else {}
    s = with_overrides(recipe.settings, {"filters": filters, **sized})
    gan = recipe.build(s, rng(), "float32")
    up = [layer for layer in gan.generator.layers if isinstance(layer, Conv2DTranspose)]
    down = [layer for layer in gan.discriminator.layers if isinstance(layer, Conv2D)]
    channels = recipe.shape(s)[0]
    assert [layer.filters for layer in down] == list(s.filters)
    assert [layer.filters for layer in up] == [*reversed(s.filters[:-1]), channels]
    assert recipe.shape(s)[1:] == gan.generator.shapes[-1][1:] == (size, size)
    assert [layer.image for layer in reversed(up)] == [layer.image for layer in down]


def test_dropout_comes_after_every_convolution_of_the_discriminator_where_asked_for():
    recipe = recipes.get("mnist-dcgan")
    for rate, count in (("0", 0), ("0.25", 2)):
        gan = recipe.build(with_overrides(recipe.settings, {"filters": "2,3", "dropout": rate}), rng(), "float32")
        found = [layer for layer in gan.discriminator.layers if isinstance(layer, Dropout)]
        assert [layer.rate for layer in found] == [0.25] * count
        assert not any(isinstance(layer, Dropout) for layer in gan.generator.layers)


def test_a_picture_that_cannot_be_halved_so_often_is_refused():
    recipe = recipes.get("mnist-dcgan")
    with pytest.raises(SettingError, match="3 filters halve a picture as many times, and 28 × 28 is no multiple of 8"):
        recipe.build(with_overrides(recipe.settings, {"filters": "2,3,4"}), rng(), "float32")


# ------------------------------------------------------------------------------------------------- one's own pictures


@pytest.mark.usefixtures("unrendered")
def test_grey_pictures_make_a_grey_gan(call, tmp_path):
    data = png_files(tmp_path / "png", channels=1)
    assert call("train", "pictures", *SMALL, "--data", data, "--set", "size=8", "--out", "run", "--quiet")[0] == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["settings"]["channels"] == 1 and config["settings"]["size"] == 8
    assert call("sample", "run", "-n", 3, "--out", "some.npy")[0] == 0
    assert np.load(tmp_path / "some.npy").shape == (3, 1, 8, 8)


@pytest.mark.parametrize("arguments, message", [
    ([], "the pictures recipe takes --data DIR, a directory of PNG files"),
    (["--data", "full"], "the pictures recipe takes --data DIR, a directory of PNG files"),
    (["--data", "nowhere"], "nowhere"),
    (["--data", "empty"], "empty"),
    (["--data", "png", "--set", "channels=1"], "channels=1 is not possible; the pictures have 3"),
    (["--data", "png", "--set", "channels=2"], "channels=2 is not possible; expected one of 0, 1, 3"),
    (["--data", "png", "--set", "size=30"], "30 × 30 is no multiple of 4 × 4"),
])  # fmt: skip
def test_pictures_that_cannot_be_are_refused_in_a_sentence_and_leave_nothing(arguments, message, call, tmp_path):
    (tmp_path / "empty").mkdir()
    png_files(tmp_path / "png", n=3)
    status, out, err = call("train", "pictures", *SMALL, *arguments, "--out", "run")
    assert status == 2 and out == "" and err.count("\n") == 1 and message in err
    assert not (tmp_path / "run").exists()


def test_a_broken_picture_is_named(call, tmp_path):
    data = png_files(tmp_path / "png", n=4)
    whole = (data / "002.png").read_bytes()
    (data / "002.png").write_bytes(whole[: len(whole) // 2])
    status, _, err = call("train", "pictures", *SMALL, "--data", data, "--out", "run")
    assert status == 2 and err.count("\n") == 1 and "002.png" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("unrendered")
def test_a_run_whose_pictures_are_gone_still_samples_and_says_what_evaluation_lacks(call, tmp_path):
    data = png_files(tmp_path / "png")
    assert call("train", "pictures", *SMALL, "--data", data, "--set", "size=8", "--out", "run", "--quiet")[0] == 0
    data.rename(tmp_path / "elsewhere")
    assert call("sample", "run", "-n", 3)[0] == 0
    status, _, err = call("evaluate", "run")
    assert status == 2 and err.count("\n") == 1 and "png" in err


def test_emoji_take_no_data(call):
    status, _, err = call("train", "emoji", *SMALL, "--data", "somewhere")
    assert status == 2 and "the emoji recipe has pictures of its own and takes no --data" in err


# ------------------------------------------------------------------------------------------------------------ pictures


def test_a_grid_shows_every_image_in_its_place_and_colour():
    images = load_emoji(16).images[:7]
    picture = plots.image_grid(images, 3)
    assert picture.shape == (3 * 18, 3 * 18, 3) and picture.dtype == np.uint8
    for i, image in enumerate(images):
        top, left = 18 * (i // 3) + 1, 18 * (i % 3) + 1
        np.testing.assert_array_equal(picture[top : top + 16, left : left + 16], np.moveaxis(image, 0, -1))
    assert (picture[36:, 18:] == 255).all() and (picture[0] == 255).all() and (picture[:, 17] == 255).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_samples_are_drawn_in_their_own_colours(channels, tmp_path):
    """A file's middle pixel is that of the image which stands there."""
    flat = rng().uniform(-1, 1, (1, channels, 1, 1)).astype(np.float32)
    pixels = to_pixels(np.broadcast_to(flat, (1, channels, 8, 8)))
    plots.image_samples(pixels, "one", tmp_path / "one.png")
    drawn = imread(tmp_path / "one.png")
    middle = drawn[drawn.shape[0] // 2, drawn.shape[1] // 2, :3]
    np.testing.assert_allclose(255 * middle, np.resize(pixels[0, :, 4, 4], 3), atol=1)
