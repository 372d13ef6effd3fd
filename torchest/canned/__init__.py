"""Canned estimators with the defaults of TensorFlow 2: linear, deep, wide and deep, baseline; estimators of modules."""
