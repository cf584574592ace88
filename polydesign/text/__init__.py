"""Text: numbers in words, names that come close, files."""
