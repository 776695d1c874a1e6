"""The simulator keeps its promises: what the other tests take for the truth."""
