"""The game: a generator against a discriminator.

Read in this order:

    objectives   the rules: what either side minimises, and what theory says of the end
    conditions   what a sample is asked to be: a class, a text, a picture
    penalty      what the discriminator pays for being steep
    l1           what the generator pays for being far from a target
    steps        one step of either side at one batch size, as a list of kernel calls
    average      the generator's weights averaged, for better samples
    stretches    how a training is cut into stretches of equal steps, and how many updates those make
    fit          the training loop
    parts        all that a run consists of, in one list; checkpoint: the file it is kept in
    model        `GAN`, the two networks and all of the above
    replicas     many GANs as one stack, put together and taken apart; blocks: how it is trained, replica by replica
    history      what a run reports; curves: its picture; insides: layer by layer; progress: a bar meanwhile
    equilibrium  when to stop

A penalty of your own subclasses `penalty.Penalty` and is listed in `penalty.PENALTIES`.

To add an objective, subclass `objectives.Unpaired` or `objectives.Objective` and list it in `objectives.OBJECTIVES`:
settings, steps, history, pictures, model files and gradient checks find it there.
"""
