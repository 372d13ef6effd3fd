"""The host half of columns: values to ids."""
