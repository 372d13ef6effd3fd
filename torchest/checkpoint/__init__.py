"""Checkpoints: written, listed, read, checked."""
