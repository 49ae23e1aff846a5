"""The served documentation: pages, and the tables and the diagram generated from the code."""
