"""What local normalisations share: checks, the choice of a way, sums over neighbours."""
