"""Mutants: small deliberate errors in the product, each with the tests that must notice it."""
