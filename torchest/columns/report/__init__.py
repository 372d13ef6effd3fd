"""Reports on columns: `describe` and `infer`."""
