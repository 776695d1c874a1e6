"""Those who call the agent: cman, Proxmox, Pacemaker, a person; each in its own way."""
