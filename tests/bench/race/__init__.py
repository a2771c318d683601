"""The race: `pay`, `xpay` and ours pay the same invoices on Core Lightning's simulated mainnet."""
