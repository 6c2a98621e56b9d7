"""The fifteen exercises, in order."""

from __future__ import annotations

from numgan.errors import ArgumentError, shown
from numgan.kernels import (
    activations,
    batch_norm,
    convolution,
    dense,
    dropout,
    embedding,
    joining,
    losses,
    optimizers,
    penalties,
)
from numgan.study.exercises import trials
from numgan.study.exercises.exercise import Exercise

_ALL = [
    Exercise(
        "dense_weights",
        "the gradient of a matrix product by its weights",
        "Write [dW db], the bias with the rest. Mind what is summed, and over which axis.",
        dense.dense_backward_weight,
        (dense.dense_forward,),
        ("dy·[x; 1]ᵀ", "Σ_j dy_kj x1_lj = (dy·x1ᵀ)_kl", "Σ_j dy_kj"),
        (
            "Take one weight W_kl. Which outputs y_ij does it reach? Sum dy_ij·∂y_ij/∂W_kl over these alone.",
            "It reaches row k of y, in every sample j, with the factor x1_lj: the sum is over the samples. "
            "Shapes say the rest: (n_out, n_in + 1) out of (n_out, N) and (N, n_in + 1).",
            "A sum over the index that two matrices share is a product of the two, and x1ᵀ is transposed already. The "
            "column of b comes out of it by itself, because x1 ends in ones.",
        ),
        (trials.dense_weights,),
    ),
    Exercise(
        "dense_input",
        "the same product's gradient by its input",
        "Write dx, rows 0 to n_in − 1 of out1; the row after them, which belongs to the ones, nobody reads.",
        dense.dense_backward_input,
        (dense.dense_forward,),
        ("[W b]ᵀ·dy, that is dx = Wᵀ·dy", "Σ_i W_ik dy_ij = (Wᵀ·dy)_kj"),
        (
            "Take one number x_kj of sample j. It reaches every output i of that sample and no other sample's.",
            "It reaches y_ij with the factor W_ik, so now the sum is over the outputs i.",
            "Σ_i W_ik dy_ij sums over W's rows. weightᵀ has them as its columns, where a product wants them.",
        ),
        (trials.dense_input,),
    ),
    Exercise(
        "leaky_relu",
        "a kink, and its slope read off the output",
        "Write dx. x itself is not given: y has to tell on which side it was.",
        activations.leaky_relu_backward,
        (activations.leaky_relu_forward,),
        ("dy where y > 0, else slope·dy", "max([x > 0], slope)"),
        (
            "Elementwise: dx = dy·f′(x). f is two straight lines; which slopes have they?",
            "f keeps the sign, for a slope above 0: y > 0 says which line it was. 0 gets the lower line's slope.",
            "np.where(y > 0, 1, slope) is f′. It is the outputs that the mask is made of, not dy.",
        ),
        (trials.leaky_relu, trials.kink),
    ),
    Exercise(
        "tanh",
        "a curve whose slope the output knows",
        "Write dx from dy and the output y.",
        activations.tanh_backward,
        (activations.tanh_forward,),
        ("dy·(1 − y²)", "(cosh² − sinh²)/cosh² = 1 − tanh²"),
        (
            "tanh = sinh/cosh, sinh′ = cosh, cosh′ = sinh: use the quotient's rule.",
            "(cosh² − sinh²)/cosh². Divide it out, and look for tanh, which is y.",
            "tanh′ = 1 − tanh², and tanh x stands in y already: do not take it again.",
        ),
        (trials.tanh,),
    ),
    Exercise(
        "bce_logits",
        "sigmoid and cross-entropy at once: why one subtracts",
        "Write dz of the mean over all elements. The target comes folded into `offset`. Some logits are large.",
        losses.bce_logits_backward,
        (losses.bce_logits_forward,),
        ("(σ(z) − t)/count", "eᶻ/(1 + eᶻ) − t = σ(z) − t", "tanh(z/2)·1/(2·count) + (½ − t)/count"),
        (
            "ℓ = log(1 + eᶻ) − t·z. Differentiate both terms; the first is a sigmoid.",
            "∂ℓ/∂z = σ(z) − t: the p·(1 − p) of the sigmoid and that of the logarithm cancel, all that is left is a "
            "difference. The mean gives 1/count.",
            "With σ(z) = ½ + ½·tanh(z/2), which never overflows: (½ − t)/count is `offset`, and what is left is "
            "tanh(half·z)·half_over_count.",
        ),
        (trials.bce_logits, trials.large_logits),
    ),
    Exercise(
        "bce",
        "cross-entropy from probabilities, and its clip",
        "Write dp of the mean over all elements, of the loss as it is worked out above, clip included.",
        losses.bce_backward,
        (losses.bce_forward,),
        (
            "(p − t)/(p·(1 − p))/count within the clip, 0 beyond it",
            "−t/p + (1 − t)/(1 − p) = (p − t)/(p·(1 − p))",
            "so a saturated discriminator gets no gradient and stays stuck",
        ),
        (
            "ℓ = −t·log p − (1 − t)·log(1 − p): differentiate by p and bring it over one denominator.",
            "(p − t)/(p·(1 − p)), and the mean over p.size elements.",
            "Beyond the clip ℓ is constant: 0 there. Look where np.clip(p, epsilon, 1 − epsilon) is p itself, and "
            "divide by the clipped p, lest 0/0 make NaN.",
        ),
        (trials.bce, trials.clipped),
    ),
    Exercise(
        "batch_norm_parameters",
        "batch norm's scale and shift",
        "Write dgamma and dbeta, two columns.",
        batch_norm.batch_norm_backward_parameters,
        (batch_norm.batch_norm_forward,),
        ("Σ_i dy_i·x̂_i = 1/s · Σ_i dy_i·(x_i − μ)", "Σ_i dy_i"),
        (
            "y = γ·x̂ + β, a line in each of the two. One γ serves all the samples of its feature.",
            "dβ = Σ dy and dγ = Σ dy·x̂, over the samples, axis −1. Sums, not means: the mean is the loss's.",
            "x̂ is not stored. It is centred·inv_std. keepdims=True makes columns.",
        ),
        (trials.batch_norm_parameters,),
    ),
    Exercise(
        "batch_norm_input",
        "batch norm's input: three paths, three terms",
        "Write dx. dgamma and dbeta are given: they are the sums of the exercise before.",
        batch_norm.batch_norm_backward_input,
        (batch_norm.batch_norm_forward,),
        (
            "γ/s · (dy − dβ/N − x̂·dγ/N): the gradient minus its components along 1 and along x̂",
            "g_i/s",
            "−1/s · 1/N Σ_j g_j",
            "−1/s · x̂_i · 1/N Σ_j g_j x̂_j",
        ),
        (
            "x_i reaches the loss directly, through μ and through σ². For each path multiply what the table says, and "
            "for the last two sum over all samples j, since μ and σ² are in every x̂_j.",
            "All three carry 1/s. The direct one has g_i, the mean's −1/N·Σ g, the variance's −x̂_i/N·Σ g·x̂, with "
            "g = γ·dy.",
            "Σ g = γ·dβ and Σ g·x̂ = γ·dγ. Take γ/s out, which is `scale`; in the bracket stand dy, dβ/N and x̂·dγ/N, "
            "with x̂ = centred·inv_std.",
        ),
        (trials.batch_norm_input,),
    ),
    Exercise(
        "softmax",
        "softmax and cross-entropy of one of n classes",
        "Write dz of the mean over the samples. Some logits are large.",
        losses.softmax_cross_entropy_backward,
        (losses.softmax_cross_entropy_forward, losses.softmax_forward),
        ("(p − t)/N", "e^z_j/Σ_k e^z_k = p_j", "p_j − t_j"),
        (
            "ℓ = log Σ_k e^z_k − Σ_k t_k·z_k, if Σ t = 1. Differentiate each term by z_j.",
            "The first gives e^z_j/Σ_k e^z_k, the softmax p_j; the second t_j. As with the sigmoid one subtracts.",
            "softmax_forward above makes p without overflow. The mean is over the N samples, the columns, not over "
            "their n numbers too.",
        ),
        (trials.softmax, trials.large_softmax),
    ),
    Exercise(
        "embedding",
        "columns that are looked up, some of them twice",
        "Write dW. Some indices repeat, some never occur; what stands in out before is of no meaning.",
        embedding.embedding_backward_weight,
        (embedding.embedding_forward,),
        (
            "Σ_k dy_·k over all k with index_k = i: what every place gets that the column went to, added up",
            "dy·Eᵀ",
            "Σ_k dy_jk E_ik leaves those k of which i is the index. An index that occurs several times adds up; a "
            "column that was not chosen gets exactly 0",
            "A row of W at a time: … K = 1,536.)",
        ),
        (
            "Column i of W went to every place k with index_k = i. What was copied on the way up is added on the way "
            "down.",
            "Begin with zeros: a column that went nowhere gets 0. Then go through the places k and add dy_·k to column "
            "index_k.",
            "out[:, index] += dy adds an index that repeats once only, because NumPy reads before it writes. A loop "
            "over k does it, and np.add.at, and dy times the one-hot matrix transposed.",
        ),
        (trials.embeddings,),
    ),
    Exercise(
        "dropout",
        "a random mask, on the way back",
        "Write dx.",
        dropout.dropout_backward,
        (dropout.dropout_forward,),
        ("m·dy: the mask of the forward pass, not a new one",),
        (
            "Once the mask is drawn the layer is linear: every number times a constant.",
            "The constant is `keep`, on the way back as on the way up; 1/(1 − rate) is in it already.",
        ),
        (trials.dropped,),
    ),
    Exercise(
        "convolution",
        "scatter-add, the transpose of a convolution's gather",
        "gather copies pixels to patches. Write its transpose: patches are gradients now, and out is the image's. "
        "start is 0; canvas is scratch that only a fast solution needs.",
        convolution.scatter_add,
        (convolution.gather,),
        (
            "start + Σ P[c, u, v, i, j] over all (u, v, i, j) with s·i + u − p = r and s·j + v − p = q",
            "A pixel under several windows gets a share from each of them, one under none keeps `start`",
            "The sums are made on a canvas … 100 ns.)",
        ),
        (
            "Every entry of a patch came from one pixel, or from the padding. Its gradient goes back to that pixel; "
            "the padding's goes nowhere.",
            "Where windows overlap, a pixel went to several patches: its gradient is the sum. So fill out with start "
            "first, then add.",
            "Go through taps_of as gather does, and turn each copy round: what read x[pixels] and wrote "
            "patch[inside] now adds patch[inside] to out[pixels].",
        ),
        (trials.windows,),
        ("from numgan.kernels.convolution import taps_of  # the pixels that each tap of a window lies on",),
    ),
    Exercise(
        "skip",
        "two ways to one input, and the sum of their gradients",
        "y = [f(x); x]: x reaches the loss through f and directly. When the kernel is called, out holds what came to "
        "the rear of y, and share what came down through f. Make out ∂L/∂x.",
        joining.add_share,
        (joining.copy_front,),
        ("out += share",),
        (
            "The chain rule of several variables: a number that reaches the loss along two ways has a term for each.",
            "The two are summed. The first stands in out already: write beside it, not over it.",
        ),
        (trials.skip,),
    ),
    Exercise(
        "adam",
        "what Adam makes of a gradient",
        "Update theta, m and v in place. m and v are the paper's moments divided by 1 − β, as the derivation says.",
        optimizers.adam_update,
        (optimizers.sgd_update,),
        ("m ← β₁·m + g and v ← β₂·v + g²", "θ ← θ − rate·m/(√v + epsilon)"),
        (
            "Divide both sides of m_t = β₁·m + (1 − β₁)·g by 1 − β₁, those of v_t by 1 − β₂.",
            "m ← β₁·m + g, v ← β₂·v + g². Now put m̂ = (1 − β₁)·m/(1 − β₁ᵗ) and v̂ into θ's line and divide numerator "
            "and denominator by c: √v̂ becomes √v.",
            "theta goes down by rate·m/(√v + epsilon): the ε outside the root, m and v the new ones. All three are "
            "arrays to be changed in place, such as by m *= beta1.",
        ),
        (trials.adam,),
    ),
    Exercise(
        "gradient_penalty",
        "WGAN-GP's penalty by the gradient that it punishes",
        "Write v = ∂P/∂g of P = λ·mean (‖g‖ − 1)², a column for each sample; one of them has g = 0.",
        penalties.norm_penalty_backward,
        (penalties.gradient_norms, penalties.norm_penalty_forward),
        ("2λ/N·(1 − 1/‖g‖)·g, and 0 where g = 0", "2·(‖g‖ − 1)·g/‖g‖", "g/‖g‖"),
        (
            "Outer times inner: first ∂(‖g‖ − 1)²/∂‖g‖, then ∂‖g‖/∂g_k of ‖g‖ = √Σ g_k².",
            "∂‖g‖/∂g = g/‖g‖, the direction alone. So 2·(‖g‖ − 1)·g/‖g‖, and λ/N of the mean stands in "
            "two_weight_over_count with that 2.",
            "(1 − 1/‖g‖)·g·two_weight_over_count. 1/0 times 0 would be NaN: take np.maximum(norm, tiny) for the norm.",
        ),
        (trials.gradient_penalty, trials.flat_gradient),
    ),
]
EXERCISES = {exercise.name: exercise for exercise in _ALL}


def get(name: str) -> Exercise:
    """The exercise of that name."""
    if name not in EXERCISES:
        raise ArgumentError(f"no exercise {shown(name)}; the exercises are {', '.join(EXERCISES)}")
    return EXERCISES[name]


def after(exercise: Exercise, solved: set[str]) -> Exercise | None:
    """The next one that is not solved, from the one after this round to those before; None when all are."""
    names = list(EXERCISES)
    start = names.index(exercise.name) + 1
    return next((EXERCISES[name] for name in names[start:] + names[:start] if name not in solved), None)
