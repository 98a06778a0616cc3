"""The only package that speaks to Interactive Brokers."""
