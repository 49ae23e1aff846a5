"""Stands in for onnxruntime: a session is only the content of its file."""

from __future__ import annotations


class SessionOptions:
    intra_op_num_threads = 0
    inter_op_num_threads = 0


class InferenceSession:
    def __init__(self, model: bytes, sess_options: SessionOptions, providers: list[str]) -> None:
        self.threads = sess_options.intra_op_num_threads
        self.name = model.decode()
