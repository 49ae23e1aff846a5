"""The Django project: settings, URLs, and the wiring of the apps."""
