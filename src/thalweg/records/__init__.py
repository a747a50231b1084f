"""What a run leaves behind: immutable facts and the store that keeps them. No torch."""
