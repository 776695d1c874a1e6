"""Exit status 0 is true: each decision that keeps it so, and a search for what breaks it."""
