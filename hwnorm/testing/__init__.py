"""What an operator must do, as checks that an operator of any package can be held against.

``check_operator("softsign")`` in a test, or ``python -m hwnorm.testing softsign`` in a shell.
"""

from hwnorm.testing.operators import CHECKS, check_operator, check_renderings

__all__ = ["CHECKS", "check_operator", "check_renderings"]
