"""Pages: the owned object, a form, one domain function, a template."""
