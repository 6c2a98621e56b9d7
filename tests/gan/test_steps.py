"""The two training steps of a GAN: what stands still, what is computed, and that every number is right."""

from collections import Counter

import numpy as np
import pytest

from numgan import GAN, SGD, Adam, BatchNorm, Dense, LeakyReLU, ReLU, Sequential, Sigmoid, Tanh, Wasserstein
from numgan.gan.objectives import OBJECTIVES
from numgan.gan.steps import SCHEDULES
from tests.helpers import (
    CLIP,
    DTYPES,
    GAMES,
    batch,
    critic,
    every_game,
    game_name,
    make_gan,
    maker,
    near,
    rng,
    rules,
    state,
    train_generator,
)
from tests.plain import RULES, PlainGAN

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


def warm(gan, steps=3, lead=()):
    """A few steps of training, so that moments, statistics and gradients are all something."""
    for i in range(steps):
        real, noise = batch(6, i, lead)
        gan.train_discriminator(real, noise)
        train_generator(gan, noise)
    return gan


# ----------------------------------------------------------------------------------------------------- the frozen


@pytest.mark.parametrize("replicas", [None, 2])
@pytest.mark.parametrize("optimizer", [Adam, SGD])
@pytest.mark.parametrize("dtype", DTYPES)
@every_game
def test_not_a_bit_of_the_discriminator_changes_while_the_generator_trains(game, dtype, optimizer, replicas):
    gan = make_gan(game, dtype, replicas, optimizer, label_smoothing=0.1)
    lead = gan.generator.replicas
    warm(gan, lead=lead)
    frozen, moving = critic(gan), maker(gan)
    for rows in (6, 1, 9, 6):
        train_generator(gan, batch(rows, 50 + rows, lead)[1])
        assert critic(gan) == frozen
    after = maker(gan)
    assert all(after[name] != moving[name] for name in moving)
    assert after["steps"] == moving["steps"] + 4


@pytest.mark.parametrize("dtype", DTYPES)
@every_game
def test_not_a_bit_of_the_generator_changes_while_the_discriminator_trains(game, dtype):
    gan = warm(make_gan(game, dtype, label_smoothing=0.1))
    frozen, moving = maker(gan), critic(gan)
    for rows in (6, 2, 9, 6):
        gan.train_discriminator(*batch(rows, 50 + rows))
        assert maker(gan) == frozen
    after = critic(gan)
    assert all(after[name] != moving[name] for name in moving)
    assert after["steps"] == moving["steps"] + (8 if gan.schedule == "separate" else 4)


@every_game
def test_sampling_and_predicting_change_nothing(game):
    gan = warm(make_gan(game))
    before = maker(gan), critic(gan)
    gan.sample(300, rng())
    gan.predict(batch(300)[1])
    assert (maker(gan), critic(gan)) == before


@every_game
def test_frozen_gradients_that_are_garbage_stay_garbage_and_do_no_harm(game):
    clean, dirty = warm(make_gan(game)), warm(make_gan(game))
    dirty.discriminator.grads[...] = np.nan
    noise = batch(6, 9)[1]
    assert train_generator(dirty, noise) == train_generator(clean, noise)
    assert maker(dirty) == maker(clean)
    assert np.isnan(dirty.discriminator.grads).all()


# ----------------------------------------------------------------------------- only what is needed is computed


def kernels_of(step):
    """How often each kernel runs in a training step, copies and updates aside."""
    return Counter(c.name for c in step.calls if c.direction in ("forward", "backward") and not c.skipped)


def updates_of(step):
    return [c for c in step.calls if c.direction == "update"]


def arrays_of(step):
    """All arrays that a step's calls are bound to."""
    for call in step.calls:
        if call.direction != "update":
            yield from call.arrays


def touches(step, arena):
    return any(np.shares_memory(a, arena) for a in arrays_of(step))


def gradient_kernels(gan, side):
    """How often either side's step runs the kernels that write the loss's gradient."""
    name = gan.objective.name
    if name == "relativistic":
        return {"pairing_backward": 2 if side == "discriminator" else 1}
    own = {"wasserstein": "critic_backward", "least-squares": "least_squares_backward", "hinge": "hinge_backward"}
    if side == "generator":
        own["hinge"] = "critic_backward"
    passes = 2 if (side, gan.schedule) == ("discriminator", "separate") else 1
    return {own.get(name, "bce_logits_backward"): passes}


@every_game
def test_the_generator_s_step_computes_no_gradient_of_the_frozen_parameters(game):
    gan = make_gan(game)
    step, real = gan.generator_step(6), int(gan.objective.pairs)  # the frozen discriminator on real rows too
    assert kernels_of(step) == {
        "dense_forward": 3 + 3 + 3 * real,
        "dense_backward_weight": 3,  # the generator's
        "dense_backward_input": 2 + 3,  # not the noise's
        "leaky_relu_forward": 2 + real,
        "leaky_relu_backward": 2,
        "relu_forward": 1,
        "relu_backward": 1,
        "tanh_forward": 2 + real,
        "tanh_backward": 2,
        "batch_norm_forward": 1,  # the generator's
        "batch_norm_running": 2,
        "batch_norm_backward_parameters": 1,
        "batch_norm_backward_input": 1,
        "batch_norm_inference": 2 + 2 * real,  # the discriminator's
        "batch_norm_inference_backward": 2,
    } | gradient_kernels(gan, "generator")
    assert [c.run for c in updates_of(step)] == [gan.generator_optimizer.update]
    assert touches(step, gan.generator.grads)
    assert not touches(step, gan.discriminator.grads)
    assert not any(touches(step, a) for a in gan.discriminator_optimizer.state.values())


@every_game
def test_the_discriminator_s_step_computes_no_gradient_of_its_input(game):
    gan = make_gan(game)
    step = gan.discriminator_step(6)
    passes = 2 if gan.schedule == "separate" else 1
    assert kernels_of(step) == {
        "dense_forward": 3 + 3 * passes,
        "dense_backward_weight": 3 * passes,
        "dense_backward_input": 2 * passes,  # not the rows'
        "leaky_relu_forward": 1 + passes,
        "leaky_relu_backward": passes,
        "relu_forward": 1,
        "tanh_forward": 1 + passes,
        "tanh_backward": passes,
        "batch_norm_inference": 1,  # the generator's
        "batch_norm_forward": 2 * passes,
        "batch_norm_running": 4 * passes,
        "batch_norm_backward_parameters": 2 * passes,
        "batch_norm_backward_input": 2 * passes,
    } | gradient_kernels(gan, "discriminator")
    clips = isinstance(gan.objective, Wasserstein)
    assert [c.name for c in updates_of(step)] == ["adam_update", *["clip_weights"] * clips] * passes
    assert [c.run for c in updates_of(step)[:: 1 + clips]] == [gan.discriminator_optimizer.update] * passes
    assert touches(step, gan.discriminator.grads)
    assert not touches(step, gan.generator.grads)
    assert not any(touches(step, a) for a in gan.generator_optimizer.state.values())


def test_no_gradient_goes_below_the_last_layer_with_parameters():
    g = Sequential([Dense(4)], 3, rng())
    d = Sequential([Tanh(), Dense(1), Sigmoid()], 4, rng())
    counts = kernels_of(GAN(g, d).discriminator_step(5))
    assert counts["tanh_forward"] == 1
    assert counts["tanh_backward"] == counts["dense_backward_input"] == 0


# -------------------------------------------------------------------------------------------- a step as a listing


@every_game
def test_a_printed_step_lists_every_call_and_names_what_is_skipped_and_why(game):
    gan = make_gan(game)
    for step, learner in ((gan.discriminator_step(8), "discriminator"), (gan.generator_step(8), "generator")):
        title, sides, head, rule, *lines, total = str(step).splitlines()
        assert title.startswith(f"{learner} step: 8 r")
        assert sides.startswith(f"'{learner}' learns; '") and "is frozen" in sides
        assert head.split() == ["network", "layer", "kernel", "shapes"] and set(rule) == {"─"}
        assert len(lines) == len(step.calls)
        for line, call in zip(lines, step.calls, strict=True):
            for part in (call.network, call.layer, call.direction, call.name, call.skipped or call.shapes):
                assert part in line
            assert ("skipped: " in line) == bool(call.skipped)
        skipped = sum(bool(call.skipped) for call in step.calls)
        assert total.startswith(f"{len(step.calls) - skipped} calls, ") and total.endswith(f"; {skipped} skipped")


def products(step):
    """(network, layer, kernel) of every line with a product, from the printed text alone."""
    return Counter(tuple(line.split())[:4] for line in str(step).splitlines() if " · " in line and " → " in line)


@every_game
def test_a_printed_discriminator_step_lists_every_product(game):
    gan = make_gan(game)
    passes = 2 if gan.schedule == "separate" else 1
    expected = {("generator", f"dense_{i}", "forward", "dense_forward"): 1 for i in (1, 2, 3)}
    for i in (1, 2, 3):
        expected["discriminator", f"dense_{i}", "forward", "dense_forward"] = passes
        expected["discriminator", f"dense_{i}", "backward", "dense_backward_weight"] = passes
        if i > 1:
            expected["discriminator", f"dense_{i}", "backward", "dense_backward_input"] = passes
    assert products(gan.discriminator_step(8)) == expected
    rows = 8 if passes == 2 else 16
    text = str(gan.discriminator_step(8))
    assert f"7×3 · 3×{rows} → 7×{rows}" in text  # the matrix [W b] of the first layer, 2 features wide, and [x; 1]
    assert "6×4 · 4×8 → 6×8" in text  # the generator's, of 3 noise values


def skipped(step):
    """[(network, layer, kernel, reason)] from the printed text alone."""
    lines = [line.partition("skipped: ") for line in str(step).splitlines()]
    return Counter((*left.split()[:2], left.split()[3], why) for left, found, why in lines if found)


@every_game
def test_a_printed_step_says_why_it_skips_what_it_skips(game):
    gan = make_gan(game)
    passes = 2 if gan.schedule == "separate" else 1
    nobody = "nobody reads the input's gradient"
    assert skipped(gan.discriminator_step(8)) == {("discriminator", "dense_1", "dense_backward_input", nobody): passes}
    frozen = "frozen, its parameters get no gradient"
    expected = {("generator", "dense_1", "dense_backward_input", nobody): 1}
    expected |= {("discriminator", f"dense_{i}", "dense_backward_weight", frozen): 1 for i in (1, 2, 3)}
    expected |= {("discriminator", f"batch_norm_{i}", "batch_norm_backward_parameters", frozen): 1 for i in (1, 2)}
    assert skipped(gan.generator_step(8)) == expected


@pytest.mark.parametrize("replicas", [None, 2])
@pytest.mark.parametrize("dtype", DTYPES)
@every_game
def test_a_step_s_calls_run_one_after_another_are_the_step_to_the_bit(game, dtype, replicas):
    whole, pieces = (make_gan(game, dtype, replicas, label_smoothing=0.1) for _ in range(2))
    for i in range(3):
        real, noise = batch(8, i, whole.generator.replicas)
        whole.discriminator_step(8).run(real, noise)
        whole.generator_step(8).run(noise, real)
        d, g = pieces.discriminator_step(8), pieces.generator_step(8)
        d.real[...], d.noise[...], g.noise[...] = real, noise, noise
        if g.real is not None:
            g.real[...] = real
        for call in [*d.calls, *g.calls]:
            if not call.skipped:
                call.run()
        assert state(whole) == state(pieces)
        assert (maker(whole), critic(whole)) == (maker(pieces), critic(pieces))
    for name in ("real_scores", "fake_scores"):
        assert (getattr(d, name) == getattr(whole.discriminator_step(8), name)).all()
    assert (g.scores == whole.generator_step(8).scores).all()


@every_game
def test_a_call_is_its_kernel_on_its_arguments(game):
    """Updates aside, which an optimiser walks chunk by chunk and counts."""
    whole, pieces = make_gan(game), make_gan(game)
    real, noise = batch(8)
    whole.discriminator_step(8).run(real, noise)
    step = pieces.discriminator_step(8)
    step.real[...], step.noise[...] = real, noise
    for call in step.calls:
        if call.run == pieces.discriminator_optimizer.update:
            call.run()
        elif not call.skipped:
            call.kernel(*call.arguments.values())
    assert critic(whole) == critic(pieces)


# ------------------------------------------------------------------------------- one step, worked out independently


def test_every_objective_has_its_plain_rules():
    assert RULES.keys() == OBJECTIVES.keys()


def smoothings(game):
    """0, and something where the objective has labels to smooth."""
    return [0.0, 0.1] if "label_smoothing" in OBJECTIVES[game[0]].takes else [0.0]


@pytest.mark.parametrize("form", Adam.FORMS)
@pytest.mark.parametrize(
    ("game", "smoothing"),
    [pytest.param(game, s, id=f"{game_name(game)}-{s}") for game in GAMES for s in smoothings(game)],
)
def test_every_number_of_a_step_is_that_of_plain_scalar_arithmetic(game, smoothing, form):
    objective = rules(game, label_smoothing=smoothing, clip=CLIP)
    generator = Sequential([Dense(3), LeakyReLU(0.2), BatchNorm(0.8), Dense(2), Tanh()], 2, rng(0), "float64")
    layers = [Dense(3), BatchNorm(0.6), LeakyReLU(0.3), Dense(3), ReLU(), Dense(1), *objective.closing()]
    discriminator = Sequential(layers, 2, rng(1), "float64")
    for i, network in enumerate((generator, discriminator)):
        network.values += rng(i + 2).normal(0, 0.5, network.values.shape)
    adam = (0.02, 0.5, 0.9, 1e-3, form)
    gan = GAN(generator, discriminator, Adam(*adam), Adam(*adam), objective, game[1])
    plain = PlainGAN(gan)
    for step in range(3):
        draw = rng(step + 10)
        real, noise, g_noise, g_real = (draw.normal(0, 1, (rows, 2)) for rows in (4, 4, 5, 5))
        gradient, metrics = plain.train_discriminator(real, noise)
        near(gan.train_discriminator(real, noise), metrics)
        near(discriminator.grads, gradient)
        near(discriminator.values, plain.values["d"])
        opponents = [g_real] if objective.pairs else []
        gradient, metrics = plain.train_generator(g_noise, *opponents)
        near(gan.train_generator(g_noise, *opponents), metrics)
        near(generator.grads, gradient)
        near(generator.values, plain.values["g"])
        for network, other in ((generator, plain.g), (discriminator, plain.d)):
            for name, statistic in other.s.items():
                near(network.state_dict()[name], statistic)
    for which, optimizer in (("g", gan.generator_optimizer), ("d", gan.discriminator_optimizer)):
        for ours, theirs in zip(optimizer.moments(), (plain.adam[which].m, plain.adam[which].v), strict=True):
            near(ours, list(theirs.values()))
    for network in (generator, discriminator):
        assert np.abs(network.grads).max() > 1e-3  # nothing of this was about zeros


@every_game
def test_float32_takes_the_same_steps_roughly(game):
    single, double = (make_gan(game, dtype, optimizer=SGD) for dtype in DTYPES)
    single.load_state_dict(double.state_dict())
    for i in range(3):
        real, noise = batch(8, i)
        near(single.train_discriminator(real, noise), double.train_discriminator(real, noise), 1e-5)
        near(single.discriminator.grads, double.discriminator.grads, 1e-5)
        near(train_generator(single, noise), train_generator(double, noise), 1e-5)
        near(single.generator.grads, double.generator.grads, 1e-5)


# ---------------------------------------------------------------------------------------------- a critic's clipping


@pytest.mark.parametrize("clip", [0.01, 0.2])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_critic_s_parameters_lie_within_the_clip_after_every_step(schedule, dtype, clip):
    gan = make_gan(("wasserstein", schedule, {}), dtype, clip=clip)
    bound = np.dtype(dtype).type(clip)
    assert np.abs(gan.discriminator.values).max() > bound
    before = maker(gan)
    for i in range(4):
        gan.train_discriminator(*batch(6, i))
        assert np.abs(gan.discriminator.values).max() == bound  # some are on the edge
        assert (np.abs(gan.discriminator.values) < bound).any()  # and not all
    assert maker(gan) == before
    weights = gan.generator.values.copy()
    train_generator(gan, batch()[1])
    assert np.abs(gan.generator.values).max() > bound  # of the generator nothing is clipped
    near(gan.generator.values, weights, 0.03)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_wide_clip_changes_nothing(schedule):
    """The step is that of the gradients alone, and the clip comes after it."""
    free, bound = (make_gan(("wasserstein", schedule, {}), clip=clip) for clip in (1e6, CLIP))
    start = free.discriminator.values.copy()
    for gan in (free, bound):
        gan.discriminator_optimizer.learning_rate = 1e-3
        gan.train_discriminator(*batch())
    if schedule == "concatenated":  # one update: its gradient knows nothing of the clip behind it
        np.testing.assert_array_equal(np.clip(free.discriminator.values, -CLIP, CLIP), bound.discriminator.values)
    moved = np.abs(free.discriminator.values - start)
    assert 0 < moved.max() < 0.01
