"""What rounding does to a schedule as it runs. Nothing here is public."""

__all__: list[str] = []
