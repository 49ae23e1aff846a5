"""Pages: the owned object, a form, one command, a template."""
