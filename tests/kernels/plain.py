"""How a kernel is tried: against plain Python loops, on what it writes, in place, and on the memory it takes."""

import inspect

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from tests.helpers import near, peak_memory, rng

quickly = settings(max_examples=25, deadline=None)
# (replicas, features, samples, seed): replicas is () or (R,)
sizes = st.tuples(
    st.just(()) | st.tuples(st.integers(1, 3)), st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**32 - 1)
)
LARGE = ((2,), 60, 700)  # replicas, features, samples: 672 KB an array


def normal(seed, *shape):
    return rng(seed).normal(0.1, 1.3, shape)


def blank(*shape):
    """Memory to write into; whatever is read of it before shows in the result."""
    return np.full(shape, np.nan)


def flags(*shape):
    return np.ones(shape, bool)


def constants(**numbers):
    """Scalars as kernels want them: 0-d arrays of the data's dtype."""
    return {name: np.array(value, np.float64) for name, value in numbers.items()}


def each(function, *arrays):
    """function on the nested lists of every replica, the results as one array again."""
    lead = arrays[0].shape[:-2]
    results = [function(*(a[index].tolist() for a in arrays)) for index in np.ndindex(lead)]
    results = np.array(results)
    return results.reshape(*lead, *results.shape[1:])


def elementwise(function, *arrays):
    """function of one number of each array, element by element in Python floats."""
    arrays = np.broadcast_arrays(*arrays)
    return np.reshape([function(*numbers) for numbers in zip(*(a.ravel().tolist() for a in arrays), strict=True)],
                      arrays[0].shape)  # fmt: skip


def kernels_of(chapter):
    """The names of a chapter's kernels."""
    return {name for name, f in vars(chapter).items() if getattr(f, "__module__", "") == chapter.__name__}


def copied(arguments):
    return {name: a.copy() if isinstance(a, np.ndarray) else a for name, a in arguments.items()}


def assert_computes(kernel, arguments, expected, scratch=(), in_place=None, tolerance=1e-12):
    """The kernel, called on its arguments by name, gives what is expected (name -> array) and writes nothing else but
    its scratch. With in_place, a name, it does so too when `out` is the array of that name.
    """
    assert {*arguments} >= {*inspect.signature(kernel).parameters} - {"product"}
    assert {*scratch} <= {*arguments} >= {*expected}
    places = [None] if in_place is None else [None, in_place]
    for place in places:
        own = copied(arguments)
        if place:
            own["out"] = own[place]
        before = copied(own)
        kernel(**own)
        for name, array in own.items():
            if name in expected:
                near(array, expected[name], tolerance)
            elif name not in scratch and name != place:
                assert np.asarray(array).tobytes() == np.asarray(before[name]).tobytes(), f"{name} was written"


def assert_takes_no_memory(kernel, arguments, bound=3_000):
    """Not a single array of the data's size once warm; nor, at that bound, a buffer of NumPy's own."""
    with np.errstate(all="ignore"):
        for _ in range(2):
            kernel(**arguments)
        assert (peak := peak_memory(lambda: kernel(**arguments))) < bound, peak
