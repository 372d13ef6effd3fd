"""Helpers for all modules."""
