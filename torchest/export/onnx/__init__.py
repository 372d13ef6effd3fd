"""Columns and models as ONNX graphs."""
