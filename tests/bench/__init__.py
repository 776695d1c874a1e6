"""The tools of bench/ work, and its picture in docs/ is not stale."""
