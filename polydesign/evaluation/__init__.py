"""How a step is computed: straight-line programs for q, their cost, their rounding."""
