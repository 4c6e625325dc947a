"""The LayerNorm that kernels replace: ``rtl/layernorm.v``, bit for bit."""

from hwnorm.layernorm.design import EPS_FRAC, LayerNormDesign
from hwnorm.layernorm.kernel import LayerNormKernel
from hwnorm.layernorm.model import evaluate

__all__ = ["EPS_FRAC", "LayerNormDesign", "LayerNormKernel", "evaluate"]
