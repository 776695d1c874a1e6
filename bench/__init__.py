"""What the agent costs and how soon it fences: the figures of docs/, taken anew."""
