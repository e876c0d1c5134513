"""Everything on one machine: `hero up` and `hero demo`."""
