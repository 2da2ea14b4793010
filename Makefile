# Each target is a line that you could type yourself; on Windows, or without make, type it: python course.py lab
PYTHON ?= python3

.PHONY: help lab test quick lint notebooks book doctor

help:
	@$(PYTHON) course.py --help

lab:  ## install what is missing, then open JupyterLab on the front page
	@$(PYTHON) course.py lab $(ARGS)

test:  ## style, types and all tests
	@$(PYTHON) course.py test $(ARGS)

quick:  ## the tests that take about two minutes together
	@$(PYTHON) course.py test -m "not slow" $(ARGS)

lint:  ## style and types
	@$(PYTHON) course.py lint

notebooks:  ## make the notebooks from their text sources
	@$(PYTHON) course.py python -m largemodels release $(ARGS)

book:  ## make a site of pages to read, in both languages, into the folder book
	@$(PYTHON) course.py book $(ARGS)

doctor:  ## is everything in order on this machine?
	@$(PYTHON) course.py python -m largemodels doctor
