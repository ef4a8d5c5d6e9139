"""A client of Ringmill's framed protocol (docs/FRAME.md), with Python's standard library only.

    python3 docs/examples/frame_client.py 127.0.0.1 7016 "hello, frames"

Says HELLO, sends each word as DATA with a checksum, answers PING, prints what came back, and leaves.
"""
import socket
import struct
import sys

HELLO, PING, PONG, ACK, ERROR, GOAWAY, DATA = 1, 2, 3, 4, 5, 6, 256
NAMES = {HELLO: "hello", ACK: "ack", GOAWAY: "goaway", DATA: "data"}
HEAD, CRC, ACK_WANTED = struct.Struct("!2sBBHHII"), 1, 2


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return struct.pack("!I", crc ^ 0xFFFFFFFF)


def frame(kind, payload=b"", seq=0, flags=0):
    head = HEAD.pack(b"RM", 1, flags, kind, 0, len(payload), seq)
    return head + payload + (crc32c(head[4:] + payload) if flags & CRC else b"")


def frames(stream):
    """Each frame that comes as (type, seq, payload), until the end of the stream."""
    while head := stream.read(HEAD.size):
        magic, version, flags, kind, reserved, length, seq = HEAD.unpack(head)
        if (magic, version, reserved) != (b"RM", 1, 0) or length > 1 << 20:
            raise ValueError("not a frame")
        payload = stream.read(length)
        if len(payload) < length or flags & CRC and stream.read(4) != crc32c(head[4:] + payload):
            raise ValueError("cut off, or a bad checksum")
        yield kind, seq, payload


def main(host, port, *words):
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        # Protobuf by hand: versions [1] (tag 1, packed), heartbeat_ms 5000 (tag 2), client_id (tag 5).
        connection.sendall(frame(HELLO, b"\x0a\x01\x01" b"\x10\x88\x27" b"\x2a\x06python"))
        for seq, word in enumerate(words, 1):
            connection.sendall(frame(DATA, word.encode(), seq, CRC | ACK_WANTED))
        for kind, seq, payload in frames(connection.makefile("rb")):
            if kind == ERROR:
                raise SystemExit(f"refused: {payload!r}")
            if kind == PING:
                connection.sendall(frame(PONG, payload, seq))
                continue
            print(NAMES.get(kind, kind), seq, payload)
            if kind == GOAWAY or kind in (HELLO, ACK) and seq == len(words):  # the last answer
                connection.sendall(frame(GOAWAY))


if __name__ == "__main__":
    main(*sys.argv[1:])
