"""Tables as text that other codebases take (one small module a target), and lists that come from elsewhere."""
