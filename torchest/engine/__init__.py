"""The loop and what it runs: steps, the feed, the objects of a model, resuming."""
