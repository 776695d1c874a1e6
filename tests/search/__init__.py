"""Agent and simulator in one process, on a virtual clock, under schedules of faults."""
