"""Reading exported directories, without torch."""
