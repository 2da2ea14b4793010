"""All exercises of the course, by id: ``exercises["1.2"]``."""

from ..exercise import Exercise
from . import chapter1

exercises: dict[str, Exercise] = {exercise.id: exercise for exercise in chapter1.EXERCISES}
