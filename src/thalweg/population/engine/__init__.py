"""Who carries a plan out: threads, each with its part of the members."""
