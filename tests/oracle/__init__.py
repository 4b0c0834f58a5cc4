"""What the answers must be: a model in plain Python that shares no module with the product, and tests against it."""
