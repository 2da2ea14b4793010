"""JupyterLab's settings for this course. `python -m largemodels lab` points JUPYTER_CONFIG_PATH here; nothing of the
user's own configuration is read less or written to."""

from pathlib import Path

from jupyterlab.handlers.announcements import NeverCheckForUpdate

COURSE = Path(__file__).resolve().parent.parent

c = get_config()  # noqa: F821  (Jupyter provides it)
c.ServerApp.root_dir = str(COURSE)
c.ServerApp.allow_root = True  # in a container one is often root; the server still answers this machine alone
c.ServerApp.contents_manager_class = "largemodels.course.files.CourseFiles"
c.TemplateExporter.extra_template_basedirs = [str(COURSE / ".course" / "nbconvert")]
c.HTMLExporter.template_name = "course"
c.HTMLExporter.filters = {"markdown2html": "largemodels.course.exporting.markdown2html"}
c.LabApp.extra_labextensions_path = [str(COURSE / ".course" / "labextensions")]
c.LabApp.default_url = "/lab/tree/START.ipynb"
c.LabApp.check_for_updates_class = NeverCheckForUpdate
c.LabApp.news_url = None
c.LanguageServerManager.autodetect = False  # looking for two dozen language servers costs a second and a long log line
