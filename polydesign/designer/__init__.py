"""From keywords to a table."""
