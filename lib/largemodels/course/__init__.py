"""The course's commands: JupyterLab, the doctor, the planner, the bench."""
