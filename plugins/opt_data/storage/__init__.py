"""The only package that writes files: keys, atomic commits, chains, the slot ledger."""
