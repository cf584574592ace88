"""From a Problem to a Schedule: one module a strategy."""
