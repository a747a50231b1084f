"""Many independent runs trained as one tensor program: members are configurations × seeds."""
