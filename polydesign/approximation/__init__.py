"""What a step does on an interval: values and images, best approximation, certificates."""
