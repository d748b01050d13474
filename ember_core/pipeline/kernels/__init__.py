"""Fast forms of components, held to the plain forms by tests."""
