"""A server that acknowledges posts of lines and keeps nothing: how fast a producer is when nobody is slower. Prints its port."""

from __future__ import annotations

import socket
import threading


def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _serve(connection: socket.socket) -> None:
    """Any request is answered 200; one with a body, with the number of its lines."""
    with connection, connection.makefile("rb", 1 << 20) as reader:
        while reader.readline():
            size = 0
            while (header := reader.readline()) not in (b"\r\n", b""):
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    size = int(value)
            lines = reader.read(size).count(b"\n")
            answer = b'{"accepted":%d,"dead_lettered":[]}' % lines if size else b"{}"
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))


if __name__ == "__main__":
    main()
