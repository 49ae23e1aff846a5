"""Is the port ours to take?"""

from __future__ import annotations

import socket


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen on host:port now; False also when we lack the right to."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the server will: a connection still closing does not take the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def taken_sentence(port: int) -> str:
    other = port + 1 if port < 65_535 else port - 1
    if port < 1024:
        return f"Port {port} is taken or needs more rights. Set PORT=8000 make run."
    return f"Port {port} is taken. Set PORT={other} make run, or stop what uses it."
