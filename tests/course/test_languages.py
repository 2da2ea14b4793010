"""In which language the course opens: the machine's, or the one that is asked for."""

import json
import locale
import os
import subprocess
import sys
from pathlib import Path

import pytest
from jupyterlab_server.translation_utils import get_language_pack

from largemodels.course.lab import front_page
from largemodels.language import ASKED, ENGLISH, languages, of_machine

COURSE = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("variables", "python", "code"),
    [
        ({"LANG": "zh_CN.UTF-8"}, None, "zh"),
        ({"LANG": "zh_TW.Big5"}, None, "zh"),  # rather than in English
        ({"LANG": "zh-Hans_CN.UTF-8"}, None, "zh"),  # as macOS may write it
        ({"LANG": "en_GB.UTF-8"}, "zh_CN", "en"),
        ({"LANG": "de_DE.UTF-8"}, None, "en"),
        ({"LANG": "C.UTF-8"}, None, "en"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "zh_CN.UTF-8"}, None, "zh"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_SG"}, None, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LANGUAGE": "en_US:en:zh"}, None, "en"),
        ({"LANG": "de_DE.UTF-8", "LANGUAGE": "de:zh_CN:en"}, None, "zh"),  # the first that the course speaks
        ({"LANG": ""}, "zh_CN", "zh"),
        ({}, "Chinese (Simplified)_China", "zh"),  # two names that Windows has for it
        ({}, "English_United States", "en"),
        ({}, "German_Germany", "en"),
        ({}, None, "en"),
    ],
)
def test_the_machines_language(monkeypatch, variables, python, code):
    for name in ASKED:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(locale, "getlocale", lambda *_: (python, "UTF-8"))
    assert of_machine() == code


def lab(home: Path, *arguments: str, lang: str) -> subprocess.CompletedProcess:
    """What JupyterLab would be started with."""
    environment = {name: value for name, value in os.environ.items() if name not in ASKED}
    return subprocess.run(
        [sys.executable, "-m", "largemodels", "lab", *arguments, "--show-config-json"],
        env=environment | {"LANG": lang, "HOME": str(home), "PYTHONPATH": str(COURSE / "lib")},
        capture_output=True,
        encoding="utf-8",
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lang", "arguments", "page"),
    [
        ("en_US.UTF-8", (), "START.ipynb"),
        ("fr_FR.UTF-8", (), "START.ipynb"),
        ("zh_CN.UTF-8", ("--port=9000",), "START.zh.ipynb"),
        ("en_US.UTF-8", ("--language", "zh", "--port=9000"), "START.zh.ipynb"),
        ("zh_CN.UTF-8", ("--port=9000", "--language=en"), "START.ipynb"),
    ],
)
def test_the_front_page_that_opens(tmp_path, lang, arguments, page):
    done = lab(tmp_path, *arguments, lang=lang)
    assert done.returncode == 0, done.stderr
    settings = json.loads(done.stdout)
    assert settings["LabApp"]["default_url"] == f"/lab/tree/{page}"
    assert settings["ServerApp"].get("port") == (9000 if "--port=9000" in arguments else None)


def test_a_language_that_there_is_not(tmp_path):
    done = lab(tmp_path, "--language", "tlh", lang="C")
    assert done.returncode == 2
    assert "'tlh'" in done.stderr
    assert "'zh'" in done.stderr


@pytest.mark.parametrize("code", languages())
def test_jupyterlab_has_menus_in_it(code):
    folder = COURSE / ".course/languages" / code
    settings = json.loads((folder / "labconfig/default_setting_overrides.json").read_text(encoding="utf-8"))
    name = settings["@jupyterlab/translation-extension:plugin"]["locale"]
    if code == ENGLISH:
        assert name == "en"
        folder = COURSE / ".course"
    else:
        words, _ = get_language_pack(name)
        assert len(words["jupyterlab"]) > 1000
    assert f'"/lab/tree/{front_page(code)}"' in (folder / "jupyter_lab_config.py").read_text(encoding="utf-8")
