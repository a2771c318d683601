"""What a command is made of: parameters, shapes of answers, errors, and the words of its page."""
