"""Pictures and pages that explain a table: they read tables and measurements only."""
