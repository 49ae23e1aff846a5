"""The flow inspector: traces each story from its source to the air, from rows and events."""
