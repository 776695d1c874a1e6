"""fencing.py on its own, under a toy agent, and beside the distribution's library."""
