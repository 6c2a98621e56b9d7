"""Studies: a recipe under many settings, each with several seeds, trained, evaluated and compared.

    space     what varies: a grid of cells, or cells at random
    question  what is asked for, checked and kept
    course    `study`, from there to the answer, resumed wherever it was stopped
    results   what was found, as a table and as a file
    pictures  and as pictures
    command   `numgan study`

What does the work stands beside this package: `jobs`, a run as plain values; `workers`, the processes; `dispatcher`,
jobs on any executor.
"""

from numgan.study.studies.course import study
from numgan.study.studies.question import StudyError
from numgan.study.studies.results import Result, Study
from numgan.study.studies.space import Range

__all__ = ["Range", "Result", "Study", "StudyError", "study"]
