"""An HTTP server over exported models: onnxruntime, numpy, Starlette and uvicorn, without torch.

    torchest serve exports --port 8501

`docs/serving.md` describes the protocols, the limits and the metrics.
"""
