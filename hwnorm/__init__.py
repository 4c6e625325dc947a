"""hwnorm: streaming stand-ins for the norm layers of trained vision transformers, down to verified RTL."""

from hwnorm.version import VERSION as __version__

__all__ = ["__version__"]
