"""Settings and universe files, checked when they are read."""
