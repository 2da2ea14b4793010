"""JupyterLab started as `make lab` starts it, and pages of a browser that show it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def jupyterlab(course, home, language):
    """The address of one, as long as it runs."""
    # The user's own Jupyter settings and a proxy must not matter.
    unwanted = ("JUPYTER", "MPLBACKEND", "LARGEMODELS", "HTTP_PROXY", "http_proxy")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    environment |= {"HOME": str(home), "USERPROFILE": str(home), "APPDATA": str(home / "AppData")}
    environment |= {"PYTHONPATH": str(course / "lib")}  # the copy's library, before the installed one
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # The last two let a test in, and let it ask JupyterLab when it is idle.
    options = ["--no-browser", f"--port={port}", "--ServerApp.port_retries=0"]
    options += ["--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True", f"--language={language}"]
    log = home / "lab.log"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "largemodels", "lab", *options],
            env=environment,
            cwd=home,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_it_answers(address, process, log)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def wait_until_it_answers(address: str, process: subprocess.Popen, log: Path) -> None:
    for _ in range(400):
        try:
            urllib.request.urlopen(f"{address}/api/status", timeout=2).read()
            return
        except OSError:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            time.sleep(0.25)
    raise AssertionError(f"JupyterLab does not answer:\n{log.read_text(encoding='utf-8')}")


@contextmanager
def opened(chromium, lab):
    """A page of its own, and the kernels that it starts; it must raise no error and load nothing from elsewhere."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(60_000)
    errors, elsewhere = [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: elsewhere.append(request.url) if is_elsewhere(request.url, lab) else None)
    yield page
    # On a very busy machine anywidget says after two seconds that it gives up, and does not.
    raised = [error for error in errors if "[anywidget] Failed to initialize model" not in error]
    # Looked at before the kernels go: JupyterLab itself complains of a kernel shut down while it starts.
    page.evaluate(SHUT_DOWN_KERNELS)
    context.close()
    assert raised == []
    assert elsewhere == []


def is_elsewhere(url: str, lab: str) -> bool:
    return url.startswith(("http:", "https:")) and not url.startswith(lab)


SHUT_DOWN_KERNELS = """() => Promise.all([...window.jupyterapp.shell.widgets("main")].map(
  widget => widget.context?.sessionContext?.shutdown())).then(() => null)"""
