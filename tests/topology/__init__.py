"""The deployment on several machines, on one machine and without a container engine."""
