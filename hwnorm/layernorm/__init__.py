"""The LayerNorm that kernels replace: ``rtl/layernorm.v``, bit for bit, and its simulation."""

from hwnorm.layernorm.design import EPS_FRAC, LayerNormDesign
from hwnorm.layernorm.model import evaluate
from hwnorm.layernorm.simulate import Tokens, simulate

__all__ = ["EPS_FRAC", "LayerNormDesign", "Tokens", "evaluate", "simulate"]
