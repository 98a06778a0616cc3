"""What people are told when something is wrong: words and values, no sending."""
