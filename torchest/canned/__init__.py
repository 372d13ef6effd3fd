"""Canned estimators: linear, deep, wide and deep, baseline; and estimators of modules."""
