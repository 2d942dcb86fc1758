"""Models behind HTTP, in clouds and on clusters of machines."""
