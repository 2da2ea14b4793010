"""Where a process that runs students' code begins: ``python -I start.py CONFIG``.

It must not hold the exercises' declarations, so `largemodels.classroom` is only a stand-in here: its modules can be
imported, the exercises are not, and what a notebook's ``check(...)`` does is put in by `likenotebook`.
"""

import gc
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

LIBRARY = Path(__file__).parents[2]


def main() -> None:
    gc.disable()  # what is loaded now stays: to search it for garbage took a fifth of the time
    config = json.loads(sys.argv[1])
    sys.path += [place for place in config["packages"] if place not in sys.path]
    spec = importlib.util.spec_from_file_location(
        "largemodels", LIBRARY / "__init__.py", submodule_search_locations=[str(LIBRARY)]
    )
    library = importlib.util.module_from_spec(spec)
    sys.modules["largemodels"] = library
    spec.loader.exec_module(library)
    classroom = ModuleType("largemodels.classroom")
    classroom.__path__ = [str(LIBRARY / "classroom")]
    library.classroom = sys.modules["largemodels.classroom"] = classroom

    from largemodels.classroom.grading.worker import serve

    serve(config)


if __name__ == "__main__":
    main()
