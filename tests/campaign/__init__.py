"""The crash campaign: random payments, plugin or node killed at random moments, and the world's verdict."""
