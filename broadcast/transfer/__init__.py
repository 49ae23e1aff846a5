"""A session on its way out as a file, and in from one."""
