"""Choose one function a layer from the fronts."""
