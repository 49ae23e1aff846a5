"""Replay: plays a finished run again from its events, without model calls or writes."""
