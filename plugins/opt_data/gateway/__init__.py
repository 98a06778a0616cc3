"""The only package that talks to Interactive Brokers."""
