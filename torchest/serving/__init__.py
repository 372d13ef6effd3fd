"""An HTTP server for exported models, which needs onnxruntime, numpy, Starlette and uvicorn but not torch.

    torchest serve exports --port 8501

`docs/serving.md` describes the protocols, the limits and the metrics.
"""
