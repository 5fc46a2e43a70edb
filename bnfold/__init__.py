"""TensorFlow training checkpoints to proven ONNX inference models."""
