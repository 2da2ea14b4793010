"""``python -m largemodels``: the course's commands."""

import argparse
import gc
import sys
from importlib import import_module

from .course.doctor import Diagnosis, examine
from .course.lab import lab
from .language import languages, of_machine, use_language

# Commands that are slow to load and that students hardly need: each module has `add_arguments` and `main`, and is
# imported when its command is asked for.
OTHERS = {
    "release": (".classroom.release", "make the notebooks from their text sources"),
    "grade": (".classroom.grading.command", "grade a class: a folder of submissions, or the zip of an LMS"),
    "bundle": (".classroom.bundling", "make a zip of the course for students, without solutions"),
    "variants": (".classroom.variants", "make sheets of the predict exercises, with other numbers for each student"),
    "book": (".classroom.book.command", "make a site of pages to read, without kernel and network, in both languages"),
    "figures": (".classroom.shelf.figures", "draw the chapters' figures as SVG files, for slides of your own"),
    "parity": (".pretrained.parity", "compare the models with transformers' on the same weights, in a table"),
    "bench": (".course.bench.command", "measure the library's speed beside what one would use instead"),
    "plan": (".course.planner", "plan the training of a large model on paper: arithmetic, memory, layout, days"),
}
IN_THE_MACHINES_LANGUAGE = ("lab", "doctor", "bundle", "plan")  # others ask, or speak to those who write the course


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m largemodels", description="Large Models, Layer by Layer")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    # JupyterLab has options of its own, --help among them: all else that follows `lab` is for it.
    start = commands.add_parser(
        "lab", help="open JupyterLab on the front page; options are JupyterLab's", add_help=False, allow_abbrev=False
    )
    start.add_argument("--language", choices=languages(), help="of the front page and the menus (else the machine's)")
    commands.add_parser("doctor", help="say whether everything is in order on this machine, and what to do if not")
    for name, (place, description) in OTHERS.items():
        command = commands.add_parser(name, help=description, description=description[0].upper() + description[1:])
        if sys.argv[1:2] == [name]:
            gc.disable()  # what a command loads is no garbage: to search it again and again took a third of the time
            module = import_module(place, __package__)
            gc.freeze()
            gc.enable()
            module.add_arguments(command)
            command.set_defaults(run=module.main)

    arguments, others = parser.parse_known_args()
    if arguments.command in IN_THE_MACHINES_LANGUAGE:
        use_language(getattr(arguments, "language", None) or of_machine())
    if arguments.command == "lab":
        lab(others)
    if others:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    if arguments.command == "doctor":
        findings = []
        for finding in examine():  # each as it is found
            print(finding, flush=True)
            findings.append(finding)
        diagnosis = Diagnosis(tuple(findings))
        print(f"\n{diagnosis.verdict}")
        sys.exit(diagnosis.has_problem)
    sys.exit(arguments.run(arguments))


if __name__ == "__main__":
    main()
