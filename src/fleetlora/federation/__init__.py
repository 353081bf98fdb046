"""The federation: vehicles, RSUs and cloud, and the round loop that composes all other rooms."""
