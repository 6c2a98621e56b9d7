"""The digit classifier that ships with the package, and how it is trained anew."""

import re
import subprocess
import sys

import numpy as np
import pytest

from numgan import ModelFileError
from numgan.data import load_mnist_split
from numgan.data.mnist import to_unit_range
from numgan.study import classifier

TRAINING, HELD_OUT = load_mnist_split()
REAL = to_unit_range(TRAINING.images)


def read_right(images, labels):
    return (classifier.probabilities(images).argmax(axis=1) == labels).mean()


def test_the_shipped_classifier_reads_digits_that_it_has_not_seen():
    held_out = to_unit_range(HELD_OUT.images)
    assert len(HELD_OUT) == 1000
    assert read_right(held_out, HELD_OUT.labels) >= 0.97
    moved = np.roll(held_out.reshape(-1, 28, 28), (2, -2), axis=(1, 2)).reshape(held_out.shape)
    assert read_right(moved, HELD_OUT.labels) > 0.93
    assert classifier.FILE.stat().st_size < 400_000


def test_features_lead_to_the_probabilities():
    features, probabilities = classifier.features(REAL[:300]), classifier.probabilities(REAL[:300])
    assert features.shape == (300, 64) and probabilities.shape == (300, 10)
    assert (features >= 0).all() and (features > 0).any(axis=0).sum() > 50
    last = classifier.load_classifier().parameters()
    logits = features.astype(float) @ last["dense_3.weight"].T + last["dense_3.bias"]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-4, atol=1e-6)


def test_training_the_classifier_anew(tmp_path, capsys):
    files = [tmp_path / name for name in ("one.npz", "same.npz", "other.npz")]
    one, same, other = (
        ["--epochs", "2", "--seed", seed, "--out", str(f)] for f, seed in zip(files, "003", strict=True)
    )
    command = [sys.executable, "-m", "numgan.study.classifier", *one]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    said = re.fullmatch(r"(.+): (\d+\.\d)% of 1,000 held-out digits are read right\n", done.stdout)
    assert said[1] == one[-1] and 80 < float(said[2]) < 98
    network = classifier.load_classifier(files[0])
    right = (network.predict(to_unit_range(HELD_OUT.images)).argmax(axis=1) == HELD_OUT.labels).mean()
    assert f"{right:.1%}" == said[2] + "%"
    classifier.main(same), classifier.main(other)
    assert capsys.readouterr().out.startswith(done.stdout.replace("one.npz", "same.npz"))
    one, same, other = (file.read_bytes() for file in files)
    assert one == same != other


@pytest.mark.parametrize("arguments", [["--epochs", "0"], ["--seed", "-1"], ["--out", "missing/c.npz"]])
def test_the_classifier_s_command_refuses_what_cannot_be(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        classifier.main(arguments)
    assert stop.value.code == 2 and "expected --epochs from 1 up" in capsys.readouterr().err


def test_another_file_is_no_classifier(tmp_path):
    (tmp_path / "c.npz").write_bytes(b"PK")
    with pytest.raises(ModelFileError, match="not a readable numgan model file"):
        classifier.load_classifier(tmp_path / "c.npz")
