"""What the network writes, as bytes and text without any state: signatures, gossip, failures, invoices."""
