#!/usr/bin/env python3
"""A client of Ringmill's framed protocol (docs/FRAME.md), with Python's standard library only.

    python3 docs/examples/frame_client.py 127.0.0.1 7016 "hello, frames"

Says HELLO, sends each word as DATA with a checksum, answers PING, prints what came back, says GOAWAY and waits for the end.
"""
import socket
import struct
import sys

HELLO, PING, PONG, ACK, ERROR, GOAWAY, DATA = 1, 2, 3, 4, 5, 6, 256
CRC, ACK_WANTED = 1, 2


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def frame(kind, payload=b"", seq=0, flags=0):
    head = struct.pack("!2sBBHHII", b"RM", 1, flags, kind, 0, len(payload), seq)
    return head + payload + (struct.pack("!I", crc32c(head[4:] + payload)) if flags & CRC else b"")


def read(stream):
    """The next frame as (type, seq, payload), or None at the end of the stream."""
    head = stream.read(16)
    if len(head) < 16:
        return None
    magic, version, flags, kind, reserved, length, seq = struct.unpack("!2sBBHHII", head)
    if (magic, version, reserved) != (b"RM", 1, 0) or length > 1 << 20:
        raise ValueError("not a frame")
    payload = stream.read(length)
    if flags & CRC and struct.unpack("!I", stream.read(4))[0] != crc32c(head[4:] + payload):
        raise ValueError("bad checksum")
    return kind, seq, payload


def main(host, port, *words):
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        stream = connection.makefile("rb")
        # Protobuf by hand: versions [1] packed (tag 1), heartbeat_ms 5000 (tag 2), client_id (tag 5).
        connection.sendall(frame(HELLO, b"\x0a\x01\x01" b"\x10\x88\x27" b"\x2a\x06python"))
        for seq, word in enumerate(words, 1):
            connection.sendall(frame(DATA, word.encode(), seq, CRC | ACK_WANTED))
        left = 1 + 2 * len(words)  # the greeting; an echo and an ACK for each word
        while (got := read(stream)) is not None:
            kind, seq, payload = got
            if kind == PING:
                connection.sendall(frame(PONG, payload, seq))
                continue
            if kind == ERROR:
                raise SystemExit(f"refused: {payload!r}")
            print({HELLO: "hello", ACK: "ack", GOAWAY: "goaway", DATA: "data"}.get(kind, kind), seq, payload)
            left -= 1
            if left == 0 or kind == GOAWAY:
                connection.sendall(frame(GOAWAY))


if __name__ == "__main__":
    main(*sys.argv[1:])
