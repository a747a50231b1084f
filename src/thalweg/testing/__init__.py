"""The contract of update rules as runnable checks: `check_rule(recipe, oracle)` tests your own rule."""

from thalweg.testing.rules import CHECKS, Case, cases, check_rule

__all__ = ["CHECKS", "Case", "cases", "check_rule"]
