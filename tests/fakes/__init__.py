"""Small stand-ins for what a stage is given: a gateway, a calendar, a clock."""
