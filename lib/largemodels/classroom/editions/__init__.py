"""The course in a second language: what belongs to each other, what is out of step, and how it is written.

English is the source. `pairs` compares a text source with its translation, cell by cell; `typography` reads the
translation alone; `steps` knows from which English each cell was written; `messages` collects what the course says
by itself, for the catalogues under ``lib/largemodels/locale``; `font` makes what pictures write Chinese with.
"""
