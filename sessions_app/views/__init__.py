"""Pages of the account that need nothing but this app."""
