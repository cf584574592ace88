"""What rounding does to a schedule as it runs."""
