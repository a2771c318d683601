"""What is written of payments, by us in the host's datastore and by the host in its table of parts."""
