"""Fitted models as ONNX graphs, for runtimes without Python: densities and class probabilities."""

from jointprob.onnx.density import joint_graph
from jointprob.onnx.labels import classifier_graph

__all__ = ["classifier_graph", "joint_graph"]
