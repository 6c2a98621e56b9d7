"""Many GANs at once: stacks of replicas, how they are put together and taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.errors import ArgumentError, ArgumentTypeError, instance, shown, whole
from numgan.hints import Array, Config
from numgan.nn.replicas import joined, of_replicas

if TYPE_CHECKING:
    from numgan.gan.model import GAN
    from numgan.gan.objectives import Objective


def stack(kind: type[GAN], gans: Sequence[GAN]) -> GAN:
    """See `GAN.stack`; `kind` is what all have to be."""
    if not isinstance(gans, list | tuple) or not gans:
        raise ArgumentTypeError(f"GAN.stack: expected a list of GANs, got {shown(gans)}")
    for r, gan in enumerate(gans):
        what = f"GAN.stack: gans[{r}]"
        if instance(what, gan, kind).generator.replicas:
            raise ArgumentError(f"{what} is a stack itself, of {gan.generator.replicas[0]} replicas")
        _check_alike(what, gan, gans[0])
    settings = [_settings(gan) for gan in gans]
    merged = {name: _merged(name, [each[name] for each in settings]) for name in settings[0]}
    twin = _remade(gans[0], len(gans), merged)
    states = [gan.state_dict() for gan in gans]
    state = {name: np.stack([each[name] for each in states]) for name in states[0]}
    for name, array in twin.state_dict().items():
        if not array.ndim:  # a count
            r = int((state[name] != state[name][0]).argmax())
            state[name] = _same(f"GAN.stack: gans[{r}]", name, state[name][r], "gans[0]", state[name][0])
    twin.load_state_dict(state)
    return twin


def taken(gan: GAN, rows: slice, single: bool = False) -> GAN:
    """A new GAN of some replicas of a stack, with their state; as a `single` one where it is one."""
    count = len(range(*rows.indices(*gan.generator.replicas)))
    settings = {name: of_replicas(config, rows) for name, config in _settings(gan).items()}
    twin, index = _remade(gan, None if single else count, settings), rows.start if single else rows
    twin.load_state_dict({name: a[index] if a.ndim else a for name, a in gan.state_dict().items()})
    return twin


def replica(gan: GAN, r: int) -> GAN:
    """See `GAN.replica`."""
    r = _index("replica", gan, r)
    return taken(gan, slice(r, r + 1), single=True)


def set_replica(gan: GAN, r: int, single: GAN) -> None:
    """See `GAN.set_replica`."""
    r, what = _index("set_replica", gan, r), "set_replica: the GAN"
    if instance(what, single, type(gan)).generator.replicas:
        raise ArgumentError(f"{what} is a stack itself, of {single.generator.replicas[0]} replicas")
    _check_alike(what, single, gan)
    given = _settings(single)
    for name, config in _settings(gan).items():
        own = of_replicas(config, slice(r, r + 1))
        for key, value in own.items():
            settable = key == "learning_rate" and not isinstance(value, dict) and not isinstance(given[name][key], dict)
            if given[name][key] != value and not settable:
                raise ArgumentError(f"{what} has another {name} {key}: {shown(given[name][key])}, not {shown(value)}")
    state, new = gan.state_dict(), single.state_dict()
    for name, array in state.items():
        if array.ndim:
            array[r] = new[name]
        elif array != new[name]:
            raise ArgumentError(
                f"{what} has {name} {new[name]}, the stack {array}: replicas make their updates together"
            )
    gan.load_state_dict(state)


def _same(what, name, ours, whose, theirs):
    """A count that two GANs have in common, or an error."""
    if ours != theirs:
        raise ArgumentError(f"{what} has {name} {ours}, {whose} {theirs}: replicas make their updates together")
    return ours


def arenas(gan: GAN) -> list[Array]:
    """All arrays of numbers that training changes, (R, …) or (…)."""
    sides = (gan.generator, gan.generator_optimizer), (gan.discriminator, gan.discriminator_optimizer)
    arrays = [a for network, optimizer in sides for a in (network.values, network.state, *optimizer.state.values())]
    return [*arrays, *([gan.average.network.values, gan.average.network.state] if gan.average else [])]


def _index(who, gan, r):
    if not gan.generator.replicas:
        raise ArgumentError(f"{who}: the GAN is a single one and has no replicas")
    last = gan.generator.replicas[0] - 1
    return whole(f"{who}: r", r, 0, f"a replica from 0 to {last}", last)


def _settings(gan: GAN) -> dict[str, Config]:
    """What may have a number for each replica, and whose it is."""
    own = {"average": gan.average and gan.average.decay, "l1_weight": gan.l1 and gan.l1.weight}
    return {
        "objective": gan.objective.config(),
        "penalty": gan.penalty.config() if gan.penalty else {},
        "generator_optimizer": gan.generator_optimizer.config(),
        "discriminator_optimizer": gan.discriminator_optimizer.config(),
        "GAN": {name: value for name, value in own.items() if value is not None},
    }


def _remade(gan: GAN, replicas: int | None, settings: dict[str, Config]) -> GAN:
    """A GAN like this one of so many replicas, with these `_settings`; its numbers are yet to be set."""
    optimizers = (
        type(optimizer).from_config(settings[f"{side}_optimizer"])
        for side, optimizer in (("generator", gan.generator_optimizer), ("discriminator", gan.discriminator_optimizer))
    )
    return type(gan)(
        gan.generator.blank(replicas),
        gan.discriminator.blank(replicas),
        *optimizers,
        _with_settings(gan.objective, settings["objective"]),
        gan.schedule,
        type(gan.penalty)(**settings["penalty"]) if gan.penalty else None,
        conditions=gan.conditions,
        matching_aware=gan.matching_aware,
        noise=gan.noise,
        shared_fakes=gan.shared_fakes,
        **settings["GAN"],
    )


def _with_settings(objective: Objective, config: Config) -> Objective:
    """The objective itself, where these are its settings, or one like it that has them."""
    return objective if objective.config() == config else type(objective)(**config)


def _merged(what: str, configs: Sequence[Config]) -> Config:
    """The settings of all in one: where numbers differ, one for each."""
    merged = {}
    for key, first in configs[0].items():
        values = [config[key] for config in configs]
        numbers = key == "learning_rate" or all(isinstance(value, float) for value in values)
        other = next((value for value in values if value != first), first)
        if other != first and not numbers:
            raise ArgumentError(
                f"GAN.stack: {what} {key} is {shown(first)} and {shown(other)}; only numbers may differ"
            )
        merged[key] = joined(values)
    return merged


def _check_alike(what: str, gan: GAN, other: GAN) -> None:
    """Raise unless two GANs differ in nothing but numbers."""
    ours, theirs = _kinds(gan), _kinds(other)
    for key, value in ours.items():
        if value != theirs[key]:
            raise ArgumentError(f"{what} has another {key}: {shown(value)}, not {shown(theirs[key])}")


def _kinds(gan: GAN) -> dict[str, Any]:
    """What all replicas have in common."""
    networks = {"generator": gan.generator, "discriminator": gan.discriminator}
    objects = {
        name: getattr(gan, name) for name in ("objective", "penalty", *(f"{side}_optimizer" for side in networks))
    }
    return {
        **{name: f"{n.dtype} {n.shapes[0]}: {', '.join(map(repr, n.layers))}" for name, n in networks.items()},
        **{name: type(value).__name__ for name, value in objects.items()},
        "schedule": gan.schedule,
        "average": "an average" if gan.average else "none",
        "l1_weight": "a distance to targets" if gan.l1 else "none",
        "conditions": repr(gan.conditions),
        "matching_aware": gan.matching_aware,
        "noise": gan.noise,
        "shared_fakes": gan.shared_fakes,
    }
