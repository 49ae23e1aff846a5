"""Figures to reach, measured on this machine: ``make bench``."""
