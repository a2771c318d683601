"""What the source says of itself, for the rules of the house."""
