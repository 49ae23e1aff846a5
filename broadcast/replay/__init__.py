"""Replay: a finished run plays again from its events; nothing is asked of a model or written."""
