"""Dropout: in training every number is kept with probability 1 − rate, else set to 0 (Srivastava et al. 2014, Dropout:
A Simple Way to Prevent Neural Networks from Overfitting).

What is kept is multiplied by 1/(1 − rate), so that the expected output is the input and inference needs no factor
("inverted" dropout). The mask m of zeros and 1/(1 − rate)s is drawn in the forward pass alone; given m the layer is
linear, y = m·x, and its backward pass is the same product with the same mask, dx = m·dy.

A mask is a function of a key, four numbers from 0 to 65,535 that are kept with the running statistics; drawing one
leaves the next key behind. Whoever puts the key back gets the mask again: so a resumed training and a gradient check
see the masks that they have to see. The numbers come from Philox (Salmon et al. 2011, Parallel Random Numbers: As Easy
as 1, 2, 3), which takes any key for a seed.
"""

import numpy as np

KEY = 65_536  # what each of a key's four numbers is less than: float32 holds them exactly
KEY_LENGTH = 4


def dropout_draw(key, skip, rate, scale, random, numbers, mask, keep):
    """keep = `scale` with probability 1 − rate, else 0: the mask that a key names, or some rows of it.

    key (…, 4), a row to a replica; scale is 1/(1 − rate); random a numpy.random.Generator on a Philox, whose state is
    set from the key; numbers (…) scratch of float32, in which the same is drawn for every dtype of the data; mask
    (bool) and keep have the data's shape, replicas in front. skip says how many of the mask's numbers come before
    these: a Philox gives its numbers from anywhere in its stream.
    """
    for replica in np.ndindex(key.shape[:-1]):
        seed(random, key[replica], KEY_LENGTH + int(skip))
        random.random(dtype=np.float32, out=numbers)
        np.greater_equal(numbers, rate, out=mask[replica])
    np.copyto(keep, mask)
    np.multiply(keep, scale, out=keep)


def dropout_follow(key, random, following):
    """key ← the next one, the first four numbers of the stream that it names. following (4,) is scratch of float32."""
    for replica in np.ndindex(key.shape[:-1]):
        seed(random, key[replica])
        random.random(dtype=np.float32, out=following)
        np.multiply(following, KEY, out=following)
        np.floor(following, out=key[replica])


def seed(random, key, skip=0):
    """Set a Generator on a Philox to the stream that a key (4,) names, behind its first `skip` float32 numbers. It
    makes them eight at a time.
    """
    high, low = ((int(a) % KEY << 16) + int(b) % KEY for a, b in key.reshape(2, 2))
    random.bit_generator.state = {
        "bit_generator": "Philox",
        "state": {"counter": (skip // 8, 0, 0, 0), "key": (high, low)},
        "buffer": (0, 0, 0, 0),
        "buffer_pos": 4,
        "has_uint32": 0,
        "uinteger": 0,
    }
    random.random(skip % 8, dtype=np.float32)


def dropout_forward(x, keep, out):
    """y = m·x, with the mask m = keep. `out` may be x."""
    np.multiply(x, keep, out=out)


def dropout_backward(dy, keep, out):
    """dx = m·dy: the mask of the forward pass, not a new one. `out` may be dy."""
    np.multiply(dy, keep, out=out)


def dropout_inference(x, out):
    """y = x: m has the expected value 1. `out` may be x."""
    np.copyto(out, x)


def dropout_inference_backward(dy, out):
    """dx = dy. `out` may be dy."""
    np.copyto(out, dy)
