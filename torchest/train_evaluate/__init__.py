"""train_and_evaluate and its parts."""
