"""Many runs trained: vectorized, captured or by the plain loop."""
