"""The flow inspector: the way of a story through the tunnel, from rows and events."""
