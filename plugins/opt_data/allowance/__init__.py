"""Where the allowance that tasks share is kept: on one host in a file, across hosts in Redis."""
