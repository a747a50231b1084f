"""Records of runs and studies: immutable facts and the store that persists them. No torch."""
