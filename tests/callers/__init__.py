"""Those who call the agent: cman, Pacemaker, medik8s, a person; each in its own way."""
