"""The instructor's shelf: pages of ``docs/`` and of the README, whose tables are made from the course itself.

`sections` reads the chapters; `syllabus` puts the lecture's slides, the sections and the exercises side by side and
plans a term with them; `glossary` lists the terms; `pages` writes all of it where the pages have a place for it.
``python -m largemodels release`` does so beside making the notebooks.
"""
