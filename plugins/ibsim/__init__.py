"""A simulated IB Gateway: a TCP server that speaks the TWS protocol at server version 176 over a seeded market.

It shares no code with the package it is used to test, and needs the standard library only.
"""
