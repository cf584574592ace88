"""Lists of coefficients from elsewhere: what they are."""
