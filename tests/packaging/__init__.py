"""Installing the agent in every way, on a machine whose changes vanish, and what is installed."""
