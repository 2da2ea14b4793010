"""What the Chinese edition sets besides ``.course/jupyter_lab_config.py``."""

c = get_config()  # noqa: F821  (Jupyter provides it)
c.LabApp.default_url = "/lab/tree/START.zh.ipynb"
