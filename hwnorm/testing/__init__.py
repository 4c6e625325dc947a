"""What an operator and a stream kernel must do, as checks that those of any package can be held against.

``check_operator("softsign")`` in a test, or ``python -m hwnorm.testing softsign`` in a shell;
``check_kernel(kernel)`` in a test.
"""

from hwnorm.testing.kernels import KERNEL_CHECKS, check_kernel
from hwnorm.testing.operators import CHECKS, check_operator, check_renderings

__all__ = ["CHECKS", "KERNEL_CHECKS", "check_kernel", "check_operator", "check_renderings"]
