"""The course as a site of pages to read, without a kernel and without a network: ``python -m largemodels book``.

`pages` says what belongs into it and turns notebooks into pages; `live` gives the explorers what they need there; `site`
has Sphinx make the pages, and puts formulas, fonts and scripts beside them.
"""
