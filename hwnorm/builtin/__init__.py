"""The built-in model: a small vision transformer for Fashion-MNIST, shipped with its weights.

``model.py`` says what it is, ``train.py`` made its weights, ``MODEL_CARD.md`` tells how good it is.
"""
