"""The proof: every gradient against differences, every other formula against plain Python, and the proof of the proof.

Read in this order:

    differences  `check_gradients`: the method and its error analysis
    problems     layers, networks, losses and GAN steps as functions to differentiate; `functions`, anyone's
    second_order gradient penalties: differences of the penalty itself
    paths        what training does and the check does not: each held against the pass that was checked
    patterns     what a wrong gradient looks like, and the classic mistake's name
    report       what was found, as a table and as data
    formulas     what no gradient check can see: values, statistics, updates, rates, penalties; a chapter a file
    targets      the named checks behind `numgan gradcheck`
    faults       mistakes planted one by one, each of which a check has to notice

To add a check, write a function (seed, tolerance) -> Report and list it in `targets.TARGETS`; layers and objectives are
there already, from their registries. To add a fault, write the wrong kernel into the chapter of the right one.
"""
