"""Tables run on matrices with known singular values, in the real precision: what the promise is worth."""
