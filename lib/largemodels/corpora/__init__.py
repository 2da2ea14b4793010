"""What the models of the course are trained on: made or found on this machine, never downloaded."""
