"""Documents that operators write for a running group: rules, and more beside the model."""
