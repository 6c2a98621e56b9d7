"""Softmax cross-entropy, for one of several classes: as written out, from extreme logits, in training, its targets."""

import numpy as np
import pytest

from numgan import SGD, Adam, Dense, ReLU, Sequential, Sigmoid, SoftmaxCrossEntropy
from numgan.gradcheck.targets import TARGETS
from tests.helpers import DTYPES, rng


def written_out(logits, target):
    """(mean loss, gradient, accuracy) by the definition, in float64."""
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    hits = (logits.argmax(axis=-1) == target.argmax(axis=-1)).mean(axis=-1)
    return -(target * np.log(p)).sum(axis=-1).mean(axis=-1), (p - target) / logits.shape[-2], hits


def problem(rows=7, classes=3, seed=0):
    """(x, one-hot target): points around one centre per class."""
    label = rng(seed).integers(0, classes, rows)
    return rng(seed + 1).normal(0, 0.3, (rows, classes)) + np.eye(classes)[label], np.eye(classes)[label]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("soft", [False, True])
def test_loss_gradient_and_accuracy_are_those_of_the_definition(soft, dtype):
    logits = rng().normal(0, 3, (6, 4)).astype(dtype)
    target = rng(1).dirichlet(np.ones(4), 6) if soft else np.eye(4)[rng(1).integers(0, 4, 6)]
    loss, (value, gradient, accuracy) = SoftmaxCrossEntropy(), written_out(logits.astype(float), target)
    rtol = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(loss.value(logits, target), value, rtol)
    np.testing.assert_allclose(loss.gradient(logits, target), gradient, rtol, atol=rtol)
    assert loss.gradient(logits, target).dtype == dtype
    assert loss.accuracy(logits, target) == accuracy


@pytest.mark.parametrize("seed", range(5))
def test_the_softmax_checks_pass(seed):
    for check in TARGETS["softmax"]:
        check(seed, 1e-7).raise_for_failure()


def test_logits_of_any_size_give_finite_numbers():
    logits = rng().uniform(-1e4, 1e4, (50, 10)).astype(np.float32)
    target, loss = np.eye(10, dtype=np.float32)[rng(1).integers(0, 10, 50)], SoftmaxCrossEntropy()
    with np.errstate(all="raise", under="ignore"):
        gap = logits.astype(float).max(axis=1) - (logits * target).sum(axis=1)
        assert loss.value(logits, target) == pytest.approx(gap.mean(), rel=1e-6)
        assert np.isfinite(loss.gradient(logits, target)).all()


def test_training_reports_loss_and_accuracy_of_before_the_update_and_learns():
    x, target = problem(60)
    network = Sequential([Dense(8, "he_uniform"), ReLU(), Dense(3)], 3, rng(), "float64")
    expected, _, accuracy = written_out(network.predict(x), target)
    network.compile(Adam(0.02), SoftmaxCrossEntropy())
    assert network.train_on_batch(x, target) == (pytest.approx(expected, rel=1e-12), accuracy)
    for _ in range(100):
        loss, accuracy = network.train_on_batch(x, target)
    assert loss < 0.3 * expected and accuracy > 0.95


def test_replicas_train_side_by_side():
    x, target = problem()
    network = Sequential([Dense(3)], 3, rng(), "float64", replicas=2)
    expected, _, accuracy = written_out(network.predict(x), target)
    network.compile(SGD(0.1), SoftmaxCrossEntropy())
    values, hits = network.train_on_batch(x, target)
    np.testing.assert_allclose(values, expected, 1e-12)
    np.testing.assert_array_equal(hits, accuracy)


def trainer(*layers):
    network = Sequential([Dense(3), *layers], 3, rng())
    network.compile(Adam(), SoftmaxCrossEntropy())
    return network


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.eye(3)[:2], r"expects targets of shape \(3, 3\), got \(2, 3\)"),
        (np.array([0, 1, 2]), r"expects targets of shape \(3, 3\), got \(3,\)"),
        (np.ones((3, 3)), "sum to 1 in every row"),
        (np.zeros((3, 3)), "sum to 1 in every row"),
        (np.array([[2, -1, 0]] * 3), "at least 0"),
        (np.full((3, 3), np.nan), "target must be finite numbers, got nan"),
    ],
)
def test_targets_that_are_no_probabilities_are_refused(target, message):
    with pytest.raises(ValueError, match=f"SoftmaxCrossEntropy expects targets .*{message}|{message}"):
        trainer().train_on_batch(np.ones((3, 3)), target)


def test_a_network_that_ends_in_sigmoid_is_refused():
    with pytest.raises(ValueError, match="must not end in Sigmoid"):
        trainer(Sigmoid()).train_on_batch(np.ones((3, 3)), np.eye(3))
