"""Programs for people who work on this project; nothing here is installed with the package."""
