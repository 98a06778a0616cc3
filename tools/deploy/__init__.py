"""Set an installation up: what the ``init`` service of ``docker-compose.yaml`` runs once at every start."""
