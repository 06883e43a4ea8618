"""Exported programs: torch.export archives and ONNX files, run as they are shipped."""
