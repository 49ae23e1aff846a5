"""A session's sources and keywords as a market."""
