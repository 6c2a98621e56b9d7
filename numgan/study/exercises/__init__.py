"""Exercises: a kernel's backward pass to write oneself, and a checker that answers.

Read in this order:

    exercise     what an exercise is, and what it is tried on
    trials       a small input and a forward pass for each of them
    catalogue    the fifteen, with what is left out of the docstrings and the hints
    sheet        the file that is to be filled in, made of the kernel's own source
    answer       somebody's file: loaded, run, checked, its mistakes named
    progress     what is solved, kept beside the files
    command      `numgan exercise`

To add an exercise, write its trial into `trials` and list it in `catalogue.EXERCISES`. Faults that are planted in its
kernel (`numgan.gradcheck.faults`) are the mistakes that its checker knows by name.
"""
