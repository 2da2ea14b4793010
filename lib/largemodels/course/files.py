"""Notebooks as JupyterLab reads and writes them: opening one changes nothing, and loses nothing."""

import json
import platform
import re
from typing import Any

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"


class CourseFiles(AsyncLargeFileManager):
    """Keeps out of the files what JupyterLab adds to every notebook, and in them what it would forget.

    It adds the version of the Python that runs the notebook, different on every machine. When a kernel starts, it
    compares what the kernel says of itself with what it has read, and a difference counts as the reader's change: so
    the version is put in when a notebook is read, and left out when it is written.

    It saves the widgets of the kernel that runs now. Those of yesterday's kernel are still shown, but would be gone
    with the next saving, which comes by itself.
    """

    async def get(self, path: str, content: bool = True, *args, **options) -> dict[str, Any]:
        model = await super().get(path, content, *args, **options)
        language = _metadata(model).get("language_info", {})
        if language.get("name") == "python":
            language["version"] = platform.python_version()
        return model

    async def save(self, model: dict[str, Any], path: str = "") -> dict[str, Any]:
        metadata = _metadata(model)
        metadata.get("language_info", {}).pop("version", None)
        states = _states(metadata)
        missing = [id for id in _shown(model) if id not in states]
        if missing and await self.file_exists(path):
            states |= _reached(missing, _states(_metadata(await super().get(path))))
        metadata.pop("widgets", None)
        if states:
            metadata["widgets"] = {STATE: {"state": states, "version_major": 2, "version_minor": 0}}
        return await super().save(model, path)


def _metadata(model: dict[str, Any]) -> dict[str, Any]:
    """A notebook's metadata; of anything else, and of a notebook without its content, a new dict."""
    return model["content"]["metadata"] if model.get("type") == "notebook" and model.get("content") else {}


def _states(metadata: dict[str, Any]) -> dict[str, Any]:
    """The states of the saved widgets, by their ids."""
    return dict(metadata.get("widgets", {}).get(STATE, {}).get("state", {}))


def _shown(model: dict[str, Any]) -> list[str]:
    """The ids of the widgets that stand in the outputs of a notebook."""
    cells = model["content"].get("cells", []) if _metadata(model) else []
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [output["data"][VIEW]["model_id"] for output in outputs if VIEW in output.get("data", {})]


def _reached(ids: list[str], states: dict[str, Any]) -> dict[str, Any]:
    """The states with these ids, and those that they refer to: a box to what is in it, a slider to its layout."""
    found: dict[str, Any] = {}
    while ids:
        id = ids.pop()
        if id in states and id not in found:
            found[id] = states[id]
            ids += re.findall(r"IPY_MODEL_(\w+)", json.dumps(states[id]))
    return found
