"""The contracts as checks that others can run: `check_rule(recipe, oracle)` on one's own update rule."""

from thalweg.testing.rules import CHECKS, Case, cases, check_rule

__all__ = ["CHECKS", "Case", "cases", "check_rule"]
