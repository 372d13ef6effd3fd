"""torchest beside TensorFlow's estimators, a bare torch loop and Vowpal Wabbit: `python -m benchmarks.compare`."""
