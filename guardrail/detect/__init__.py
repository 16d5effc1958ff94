"""Detect biased text: the detector protocol and its ONNX implementation."""
