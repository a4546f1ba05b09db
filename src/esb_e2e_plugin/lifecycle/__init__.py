"""How an environment comes up and goes away: phases, drivers, services, clean-up. Knows no pytest."""
