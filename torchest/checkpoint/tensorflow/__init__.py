"""Reads TensorFlow's checkpoints, without TensorFlow."""
