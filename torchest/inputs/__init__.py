"""Public names of torchest.inputs."""
