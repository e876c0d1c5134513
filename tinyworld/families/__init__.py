"""Small models of other families, grown from the bundled one or taught by it."""
