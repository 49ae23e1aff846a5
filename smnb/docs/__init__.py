"""The docs area of the studio: pages, with tables and a diagram generated from the code."""
