"""SMNB's composition root: it wires the apps together and decides nothing."""

from smnb.celery import app as celery_app

__all__ = ["celery_app"]
