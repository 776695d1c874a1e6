"""The agent at its border: a real process, what goes in, what comes out, what OVH was told."""
