"""Large Models, Layer by Layer (大模型网络结构): the library behind the course.

Read it from the bottom up, as the chapters do: `attention`, `masks`, `positions`, `blocks`, then the model families.
Nothing is imported here, so that ``import largemodels`` costs nothing.
"""

__version__ = "0.1.0"
