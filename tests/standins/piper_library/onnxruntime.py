"""Stands in for onnxruntime: a session is only the path of its file."""

from __future__ import annotations

from pathlib import Path


class SessionOptions:
    intra_op_num_threads = 0
    inter_op_num_threads = 0


class InferenceSession:
    def __init__(self, path: str, sess_options: SessionOptions, providers: list[str]) -> None:
        self.threads = sess_options.intra_op_num_threads
        self.name = Path(path).read_text()
