"""The market of a session: the volume, score and trend of its sources and keywords."""
