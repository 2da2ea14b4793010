"""How fast the library is beside what a reader would use instead: ``python -m largemodels bench``.

All competitors of a comparison are built first and then take turns, so that whatever else the machine does meets them
alike; what counts is the ratio of their medians. Beside them runs a large matrix product, as fast as this machine can
multiply, and the share of that speed which each reaches.
"""
