"""The old system's data: read row by row from its snapshot, and brought to the sessions it names."""
