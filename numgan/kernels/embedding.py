"""Layers of indices: numbers that choose, a class or a word, instead of being computed with.

An index i, one of 0 … count − 1, stands for the column e_i that is 1 in row i and 0 elsewhere, its one-hot form. An
embedding is a dense layer on that column without a bias, W·e_i, which is column i of W: Bengio et al. 2003, A Neural
Probabilistic Language Model, section 2, whose matrix C holds the vectors as rows. So both passes are those of
`dense`, with a product that needs no multiplication.

An input is L indices, and every position of every sample is one of K = L·N columns.
"""

import numpy as np


def read_indices(x, last, temp, index):
    """index = the whole number nearest to x, at least 0 and at most `last`; NaN counts as 0.

    Indices come as floats, as all data does. Whoever calls checks them; here nothing may lead out of W.

    x and the scratch temp (…, K); last a scalar, count − 1; index (…, K) of dtype intp.
    """
    np.fmax(x, 0, out=temp)
    np.fmin(temp, last, out=temp)
    np.rint(temp, out=temp)
    np.copyto(index, temp, casting="unsafe")


def read_indices_backward(out):
    """dx = 0: as long as the nearest whole number is the same, so is the index, and all that comes of it."""
    out.fill(0)


def embedding_forward(weight, index, out):
    """y_·k = W·e_i = W_·i with i = index_k: column k of the output is a column of W.

    weight (…, features, count); index (…, K); out, which is y, (…, features, K).
    """
    for replica in np.ndindex(index.shape[:-1]):
        # mode="clip" changes no index here: any other would have NumPy write to a copy of `out` first
        np.take(weight[replica], index[replica], axis=-1, out=out[replica], mode="clip")


def embedding_backward_weight(dy, index, out):
    """dW_·i = Σ_k dy_·k over all k with index_k = i: what every place gets that the column went to, added up.

    y_jk = Σ_i W_ji E_ik, with the one-hot columns E_ik = 1 where index_k = i and 0 elsewhere. So dW = dy·Eᵀ, as in
    `dense_backward_weight`, and ∂L/∂W_ji = Σ_k dy_jk E_ik leaves those k of which i is the index. An index that occurs
    several times adds up; a column that was not chosen gets exactly 0.

    A row of W at a time: there `np.add.at` adds number by number. 60 words, 32 features, K = 1,024 in float32: 82 µs;
    on the whole matrix at once 283, the product with E 106, a loop over k 671; at 5,000 words 208, 616, 7,856 and 826.
    (The product wins where there are few words and many features: 290 against 393 at 60, 128 and K = 1,536.)

    dy (…, features, K); index (…, K); out (…, features, count).
    """
    out.fill(0)
    for row in np.ndindex(out.shape[:-1]):
        np.add.at(out[row], index[row[:-1]], dy[row])


def one_hot_forward(index, positions, out):
    """y_·k = e_i with i = index_k: an embedding whose W is the identity, and stays it.

    index (…, K); positions (K,), the numbers 0 … K − 1; out (…, count, K).
    """
    out.fill(0)
    for replica in np.ndindex(index.shape[:-1]):
        out[replica][index[replica], positions] = 1
