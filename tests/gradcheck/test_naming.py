"""Every planted fault is caught, and what its row says that it looks like is what it is."""

import numpy as np
import pytest

from numgan.gradcheck.faults import CHAPTERS, FAULTS, hunt

SHARES = "the shares of mean and variance forgotten, or of another size"
VARIANCE = "the variance's share forgotten, or of another size"
SCALE = "a scale per feature left out, or once too often"
ADDED = "added to the last pass's instead of overwriting it"
NOTHING = "never written, forgotten, or masked away"
SIGN = "the sign flipped"
# Fault -> the name that its remark gives it. The others get a remark without a name, or none: a formula's rows have no
# pattern. A forward pass that is wrong is named by how the right backward pass looks beside it.
NAMED = {
    "relu: mask from the wrong side": "a mask of the other side",
    "relu: mask from y ≥ 0, which is everywhere": "∂L/∂y passed on as it came",
    "relu: mask from the gradient instead of the output": "a mask from ∂L/∂y instead of x",
    "relu: multiplies by the output instead of its mask": "y multiplied in once too often",
    "leaky relu: slope on the wrong side": "the two sides of a mask swapped",
    "leaky relu: backward pass of a plain relu": "a ReLU's mask, with no slope below 0",
    "leaky relu: no mask at all": "∂L/∂y passed on as it came",
    "leaky relu: forward takes the smaller side, backward agrees": "the two sides of a mask swapped",
    "tanh: 1 − y, not squared": "1 − y alone",
    "tanh: derivative taken at the output, 1 − tanh²(y)": "tanh's slope taken at the output",
    "tanh: derivative replaces the incoming gradient": "∂L/∂y left out",
    "sigmoid: derivative taken at the output, σ′(y)": "the sigmoid's slope taken at the output",
    "sigmoid: derivative of tanh": "tanh's slope, 1 − y²",
    "sigmoid: σ(−x)": SIGN,
    "silu: derivative σ alone, without the product rule's second term": "y/x, without the product rule's second term",
    "relu: guided, where the gradient is positive too": "a mask from ∂L/∂y besides x's",
    "relu: mask replaces the incoming gradient": "∂L/∂y left out",
    "relu: forward capped at 1, backward not": "a ReLU's mask, with no slope below 0",
    "leaky relu: slope of the wrong sign": SIGN,
    "tanh: derivative applied twice": "tanh′(x) multiplied in once too often",
    "tanh: no derivative at all": "∂L/∂y passed on as it came",
    "tanh: derivative of the sigmoid": "the sigmoid's slope, y·(1 − y), or softmax's diagonal",
    "sigmoid: derivative replaces the incoming gradient": "∂L/∂y left out",
    "sigmoid: 1 − y alone, as for a logarithm of it": "1 − y alone",
    "batch norm: without the mean's share of the gradient": "a mean's share along axis 0 forgotten, or of another size",
    "batch norm: without the variance's share of the gradient": VARIANCE,
    "batch norm: shares not divided by the batch size": SHARES,
    "batch norm: variance's share doubled, as if through the mean too": VARIANCE,
    "batch norm: input gradient without γ": SCALE,
    "batch norm: input gradient divided by the variance instead of its root": SCALE,
    "batch norm: statistics treated as constants, as in inference": SHARES,
    "batch norm: β's gradient averaged instead of summed": "1/N once too often",
    "batch norm: unbiased variance in the forward pass": VARIANCE,
    "batch norm: ε outside the root": VARIANCE,
    "batch norm: inference uses the batch's statistics": SHARES,
    "batch norm: inference backward forgets the scale": "∂L/∂y passed on as it came",
    "batch norm: shares divided by N − 1": SHARES,
    "batch norm: variance's share added instead of subtracted": VARIANCE,
    "batch norm: variance's share from x − μ instead of x̂": VARIANCE,
    "batch norm: γ's gradient averaged instead of summed": "1/N once too often",
    "conditions: what makes the condition learns nothing": "never written, forgotten, or masked away",
    "skip: the two gradients are averaged": "counted half, or a square's 2 forgotten",
    "embedding: the vector of the next index": "off by one along axis 0",
    "embedding: gradient added to the last step's": "added to the last pass's instead of overwriting it",
    "embedding: gradient scattered to the next index": "off by one along axis 0",
    "embedding: weight gradient transposed": "the right numbers in the wrong places",
    "embedding: gradient with the sign flipped": SIGN,
    "dense: weight gradient divided by the batch size again": "1/N once too often",
    "dense: weight gradient with the sign flipped": SIGN,
    "dense: weight gradient transposed": "transposed",
    "dense: bias gradient averaged instead of summed": "1/N once too often",
    "dense: bias gradient forgotten": NOTHING,
    "dense: weight gradient added to the last one instead of overwriting it": ADDED,
    "dense: input gradient added to the last one instead of overwriting it": ADDED,
    "dense: weight gradient counted twice": "counted twice, or a ½ forgotten",
    "dense: the last unit's weights get no gradient": NOTHING,
    "dense: input gradient with the sign flipped": SIGN,
    "dense: input gradient divided by the batch size": "1/N (or 1/n) once too often",
    "dense: input gradient reversed along the features": "reversed along axis 1",
    "dense: forward pass adds the bias twice": "counted half, or a square's 2 forgotten",
    "cross-entropy: gradient not divided by the batch size": "missing 1/count",
    "cross-entropy: t − p instead of p − t": SIGN,
    "cross-entropy: logit gradient not divided by the batch size": "missing 1/count",
    "cross-entropy: logit gradient multiplied by σ′ once more": "σ′(x) multiplied in once too often",
    "softmax: gradient not divided by the batch size": "missing 1/N",
    "softmax: gradient divided by the number of classes as well": "1/n once too often",
    "softmax: target not subtracted": "the target not subtracted, or not as it is",
    "softmax: t − p instead of p − t": SIGN,
    "cross-entropy: the clip's mask turned round": NOTHING,
    "cross-entropy: divided by the rows alone": "missing 1/n",
    "cross-entropy: logit gradient without the target": "the target not subtracted, or not as it is",
    "cross-entropy: logit gradient with the sign flipped": SIGN,
    "gan: the minimax objective maximised instead of minimised": SIGN,
    "gan: the sum of the discriminator's two losses taken as their mean": "counted half, or a square's 2 forgotten",
    "critic: real rows scored low and generated ones high": SIGN,
    "critic: the slope not divided by the batch size": "missing 1/N",
    "gan: the generator's gradient counted twice": "counted twice, or a ½ forgotten",
    "least squares: gradient of (z − t)², the ½ forgotten": "counted twice, or a ½ forgotten",
    "least squares: t − z instead of z − t": SIGN,
    "least squares: divided by the rows of both sides": "counted half, or a square's 2 forgotten",
    "least squares: the slope of σ multiplied in, as if D were a probability": "σ′(x) multiplied in once too often",
    "hinge: the mask turned round": "a mask of the other side",
    "hinge: the margin at 0 instead of 1": NOTHING,
    "hinge: the margin on the wrong side of 0": NOTHING,
    "hinge: the margin of generated rows where that of real ones is": "the right numbers in the wrong places",
    "hinge: the generator has a margin too": NOTHING,
    "hinge: the generator lowers its scores": SIGN,
    "relativistic: real rows scored low and generated ones high": SIGN,
    "gan: the discriminator's gradient never reaches the generator": NOTHING,
    "convolution: the image's channels in reverse, BGR for RGB": "reversed along axis 1",
    "scatter-add: starts from the last pass's result": ADDED,
    "scatter-add: the last column of pixels gets nothing": NOTHING,
    "scatter-add: the first row of pixels counted twice": "counted twice, or a ½ forgotten",
    "transposed convolution: a convolution's windows with the kernel turned": "the kernel turned by 180°",
    "transposed convolution: bias gradient added to the last one": ADDED,
    "convolution: weight gradient's kernel turned by 180°": "the kernel turned by 180°",
    "convolution: weight gradient's rows and columns exchanged": "the kernel's rows and columns exchanged",
    "convolution: weight gradient's channels and filters exchanged": "channels and filters exchanged",
    "convolution: weight gradient's last row of taps left out": NOTHING,
    "transposed convolution: weight gradient's kernel turned by 180°": "the kernel turned by 180°",
    "transposed convolution: weight gradient's rows and columns exchanged": "the kernel's rows and columns exchanged",
    "transposed convolution: weight gradient's channels and filters exchanged": "channels and filters exchanged",
    "transposed convolution: weight gradient's last row of taps left out": NOTHING,
    "dropout: no mask on the way back": "∂L/∂y passed on as it came",
    "dropout: inference scaled by 1 − rate, though training was scaled already": "∂L/∂y passed on as it came",
    "dropout: inference drops too": "∂L/∂y passed on as it came",
    "average pooling: gradient added to the last one": ADDED,
    "spectral norm: gradient transposed": "transposed",
    "embedding: index 0 is padding, and gets no gradient": NOTHING,
}


def looks(caught):
    return caught.what.partition("looks like: ")[2]


SOME = [fault if i % 16 == 0 else pytest.param(fault, marks=pytest.mark.slow) for i, fault in enumerate(FAULTS)]


@pytest.mark.parametrize("fault", SOME, ids=lambda fault: fault.name)
def test_it_is_caught_and_named_rightly_or_not_at_all(fault):
    right = getattr(fault.owner, fault.attribute)
    with np.errstate(all="ignore"):
        caught = hunt(fault)
    assert getattr(fault.owner, fault.attribute) is right
    assert caught.by is not None and not caught.by.passed
    assert looks(caught) == NAMED.get(fault.name, "")


@pytest.mark.slow
def test_every_fourth_by_another_seed_too():
    with np.errstate(all="ignore"):
        hunted = [hunt(fault, 1) for fault in FAULTS[::4]]
    assert [caught.fault.name for caught in hunted if caught.by is None] == []
    assert all(looks(c) == NAMED.get(c.fault.name, "") for c in hunted)


def test_every_name_is_of_a_fault_and_every_chapter_has_some():
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names) >= 240
    assert set(NAMED) <= set(names)
    assert all(sum(fault.chapter == chapter for fault in FAULTS) >= 6 for chapter in CHAPTERS)
