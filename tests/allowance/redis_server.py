"""A server that speaks Redis's protocol, in a process of its own: ``redis_server.py``. Prints its port.

It is fakeredis's; a real one behaves the same, and is not installed with pip on every Python.
"""

import socketserver

from fakeredis import TcpFakeServer


def main() -> None:
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True  # it answers in many small writes
    server = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
