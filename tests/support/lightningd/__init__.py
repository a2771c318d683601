"""What lightningd answers, as a table and as a conversation, held by the box and by lightningd alike."""
