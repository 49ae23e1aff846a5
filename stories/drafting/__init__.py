"""The writers' room: several agents write a text together, one turn at a time."""
