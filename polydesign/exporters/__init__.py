"""Tables as text for other codebases, one small module a target; and lists that come from elsewhere."""
