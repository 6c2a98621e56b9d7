"""What one does with a GAN: recipes, runs, pictures, measures.

Read in this order:

    settings     every number of a recipe, by name, with what it may be
    recipes/     the systems of the source documents, a family a file
    runs         one training, from seed to run directory and back
    watch, signals   what goes on beside a training, and what stops it from outside; streams: what a call prints
    live, event_log  what is watched, as a table in the terminal, and as files for TensorBoard
    ends         how a training is lost without a number that stops it
    jobs, workers, dispatcher   runs as plain values, processes for them, and any executor
    seeds        several of them side by side
    studies/     many settings, several seeds each
    plots        pictures
    metrics, classifier, evaluation   how good samples are, beside real data; scenes, translations: and what was asked
    profiling    where a step's time goes
    explain/     what a step does, call by call with its numbers
    checks       gradient checks of whole recipes
    exercises/   backward passes to write oneself, and a checker that answers

To add a recipe, write a class like those in `recipes` and list it in `recipes.RECIPES`: the command line, the gradient
checks and the tests find it there.
"""
