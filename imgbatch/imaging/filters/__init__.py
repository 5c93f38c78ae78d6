"""The engines of operations: what they do to pixels, on arrays and images."""
