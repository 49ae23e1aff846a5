"""The Django project: settings, URLs, and the wiring of the apps."""

from smnb.celery import app as celery_app

__all__ = ["celery_app"]
