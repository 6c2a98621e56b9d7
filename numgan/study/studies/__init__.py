"""Studies: a recipe under many settings, each with several seeds, trained, evaluated and compared.

    space     what varies: a grid of cells, or cells at random
    course    `study`, from the question to the answer, resumed wherever it was stopped
    results   what was found, as a table and as a file
    pictures  and as pictures
    command   `numgan study`

What does the work stands beside this package: `jobs`, a run as plain values; `workers`, the processes; `team`, jobs on
any executor.
"""

from numgan.study.studies.course import StudyError, study
from numgan.study.studies.results import Result, Study
from numgan.study.studies.space import Range

__all__ = ["Range", "Result", "Study", "StudyError", "study"]
