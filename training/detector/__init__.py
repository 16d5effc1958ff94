"""Train the detector: teacher, distilled student, calibration and ONNX export."""
