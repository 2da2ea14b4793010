"""``python -m largemodels``: the course's commands."""

import argparse
import sys

from .doctor import Diagnosis, examine
from .lab import lab


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m largemodels", description="Large Models, Layer by Layer")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    # JupyterLab has options of its own, --help among them: all that follows `lab` is for it.
    commands.add_parser("lab", help="open JupyterLab on the front page; options are JupyterLab's", add_help=False)
    commands.add_parser("doctor", help="say whether everything is in order on this machine, and what to do if not")
    release = commands.add_parser("release", help="make the notebooks from their text sources")
    if sys.argv[1:2] == ["release"]:  # imported when it is asked for: it is slow to load, and students never need it
        from .classroom import release as releasing

        releasing.add_arguments(release)
    parity = commands.add_parser("parity", help="compare the models with transformers' on the same weights, in a table")
    if sys.argv[1:2] == ["parity"]:
        from .pretrained import parity as comparing

        comparing.add_arguments(parity)

    arguments, others = parser.parse_known_args()
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
    if arguments.command == "release":
        sys.exit(releasing.main(arguments))
    if arguments.command == "parity":
        sys.exit(comparing.main(arguments))


if __name__ == "__main__":
    main()
