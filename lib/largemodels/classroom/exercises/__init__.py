"""All exercises of the course, by id: ``exercises["1.2"]``."""

from ..exercise import Exercise
from . import chapter1, chapter2, chapter3, chapter4, chapter5, chapter6, chapter7, chapter8

exercises: dict[str, Exercise] = {
    exercise.id: exercise
    for chapter in (chapter1, chapter2, chapter3, chapter4, chapter5, chapter6, chapter7, chapter8)
    for exercise in chapter.EXERCISES
}
