"""The writers' room: agents that read each other write a text together, one turn at a time."""
