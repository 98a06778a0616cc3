"""The simulated market: what every contract is worth at every instant, a pure function of seed, contract and time."""
