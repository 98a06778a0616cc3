"""Pure functions from tables to tables: no I/O, no clock."""
