#!/usr/bin/env python3
"""Writes the golden vectors of the framed protocol: crates/proto/tests/golden/frame/frames.json.

A second implementation, by the letter of docs/FRAME.md: it shares nothing with the crate that is tested against it.
Run it from the root of the tree: python3 crates/proto/tests/frame/vectors.py
"""
import json
import struct

HELLO, PING, PONG, ACK, ERROR, GOAWAY, DATA = 1, 2, 3, 4, 5, 6, 256
CRC, ACK_WANTED, ORDERED, AGAIN = 1, 2, 4, 8
NAMES = {1: "HELLO", 2: "PING", 3: "PONG", 4: "ACK", 5: "ERROR", 6: "GOAWAY", 256: "DATA"}


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283  # RFC 3720 has others, this is the catalogue's check value
assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def message(*fields):
    """Fields as (tag, wire type, value): 0 varint, 1 fixed64, 2 bytes."""
    out = b""
    for tag, wire, value in fields:
        out += varint(tag << 3 | wire)
        out += {0: varint, 1: lambda n: struct.pack("<Q", n), 2: lambda b: varint(len(b)) + b}[wire](value)
    return out


def frame(kind, payload=b"", seq=0, flags=0, version=1, reserved=0, length=None, magic=b"RM", spoil=0):
    length = len(payload) if length is None else length
    head = magic + struct.pack("!BBHHII", version, flags, kind, reserved, length, seq)
    crc = struct.pack("!I", crc32c(head[4:] + payload) ^ spoil) if flags & CRC else b""
    return head + payload + crc


def told(kind, payload=b"", seq=0, flags=0, **fields):
    name = NAMES.get(kind, f"APPLICATION {kind}")
    out = {"frame": name, "seq": seq, "flags": flags, "payload": payload.hex()}
    return {**out, "message": fields} if kind < 256 else out


CASES = []


def case(name, data, *expected, over="stream", payload_bytes_max=1 << 20, refusal=None):
    CASES.append({
        "name": name, "over": over, "payload_bytes_max": payload_bytes_max,
        "hex": data.hex(), "frames": list(expected), "refusal": refusal,
    })


def good(name, kind, payload=b"", seq=0, flags=0, over="stream", **fields):
    case(name, frame(kind, payload, seq, flags), told(kind, payload, seq, flags, **fields), over=over)


def bad(name, refusal, *args, over="stream", **how):
    case(name, frame(*args, **how), refusal=refusal, over=over)


hello = message((1, 2, varint(1)), (2, 0, 30000), (3, 0, 3), (4, 0, 65536), (5, 2, b"sensor-17"))
agreed = message((1, 2, varint(1)), (2, 0, 5000), (3, 0, 3), (4, 0, 1 << 20))
none = dict(versions=[], heartbeat_ms=0, misses=0, payload_bytes_max=0, client_id="", cookie="")

good("the shortest HELLO", HELLO, message((1, 2, varint(1))), **{**none, "versions": [1]})
good("a HELLO that says all", HELLO, hello, 7, **{
    **none, "versions": [1], "heartbeat_ms": 30000, "misses": 3, "payload_bytes_max": 65536,
    "client_id": b"sensor-17".hex()})
good("the server's HELLO", HELLO, agreed, 7, **{
    **none, "versions": [1], "heartbeat_ms": 5000, "misses": 3, "payload_bytes_max": 1 << 20})
good("versions one by one, as old writers have them", HELLO, message((1, 0, 1), (1, 0, 2)), **{
    **none, "versions": [1, 2]})
good("a HELLO with a field of the future", HELLO, message((1, 2, varint(1)), (99, 2, b"new")), **{
    **none, "versions": [1]})
good("a HELLO with a cookie, with a sum", HELLO, message((1, 2, varint(1)), (6, 2, bytes(range(24)))), 1, CRC,
     over="datagram", **{**none, "versions": [1], "cookie": bytes(range(24)).hex()})
good("an empty PING", PING, seq=1, stamp=0)
good("a PING with a stamp", PING, message((1, 1, 0x0123456789ABCDEF)), 0xFFFFFFFF, stamp=0x0123456789ABCDEF)
good("a PONG with a sum", PONG, message((1, 1, 1)), 2, CRC, stamp=1)
good("an ACK", ACK, seq=41, before=0)
good("an ACK of several", ACK, message((1, 1, 0x8000000000000005)), 41, over="datagram", before=0x8000000000000005)
good("an ERROR", ERROR, message((1, 0, 7), (2, 2, b"the checksum does not match")), 3,
     code=7, text="the checksum does not match")
good("a GOAWAY", GOAWAY, message((1, 0, 10000), (2, 2, "fährt herunter".encode())), deadline_ms=10000,
     text="fährt herunter")
good("empty DATA", DATA, seq=1)
good("empty DATA with a sum", DATA, seq=1, flags=CRC)
good("DATA", DATA, b"hello, frames", 2)
good("DATA with a sum", DATA, b"hello, frames", 2, CRC)
good("DATA that wants an ACK", DATA, b"\0" * 40, 3, CRC | ACK_WANTED)
good("the first type of the application", 0x8000, b"x", 4)
good("the last type of the application", 0xFFFF, b"yz", 5, ACK_WANTED)
good("a datagram that was sent before, in order", DATA, b"again", 6, CRC | ACK_WANTED | ORDERED | AGAIN,
     over="datagram")
case("several frames in a row",
     frame(HELLO, message((1, 2, varint(1)))) + frame(PING, seq=1) + frame(DATA, b"abc", 2, CRC) + frame(DATA, b"", 3),
     told(HELLO, message((1, 2, varint(1))), **{**none, "versions": [1]}), told(PING, seq=1, stamp=0),
     told(DATA, b"abc", 2, CRC), told(DATA, b"", 3))
case("payloads as long as allowed; control frames have their own bound",
     frame(DATA, b"12345678", 1) + frame(PING, message((1, 1, 5)), 2) + frame(DATA, b"123456789", 3),
     told(DATA, b"12345678", 1), told(PING, message((1, 1, 5)), 2, stamp=5), payload_bytes_max=8, refusal="too-long")
case("half a header", frame(DATA, b"abc", 1)[:9])
case("half a payload", frame(DATA, b"abc", 1)[:18])
case("half a sum", frame(DATA, b"abc", 1, CRC)[:21])

bad("HTTP", "bad-magic", DATA, magic=b"GE")
bad("the second byte is wrong", "bad-magic", DATA, magic=b"RN")
bad("the version before the first", "version-unknown", HELLO, version=0)
bad("a version of the future", "version-unknown", HELLO, version=2)
bad("an unknown flag", "flag-unknown", DATA, flags=0x10)
bad("the highest flag", "flag-unknown", DATA, flags=0x80)
bad("a flag of datagrams in a stream", "flag-unknown", DATA, flags=ORDERED)
bad("a retransmission in a stream", "flag-unknown", DATA, flags=AGAIN)
bad("an unknown control frame", "type-unknown", 7)
bad("type 0", "type-unknown", 0)
bad("a type behind DATA", "type-unknown", 257)
bad("a type before the application's", "type-unknown", 0x7FFF)
bad("reserved, high", "reserved-set", DATA, reserved=0x100)
bad("reserved, low", "reserved-set", DATA, reserved=1)
bad("one byte too long", "too-long", DATA, length=(1 << 20) + 1)
bad("4 GiB", "too-long", DATA, length=0xFFFFFFFF)
bad("a PING that is too long", "too-long", PING, length=65)
bad("a HELLO that is too long", "too-long", HELLO, length=1025)
bad("a wrong sum", "bad-crc", DATA, b"hello, frames", 2, CRC, spoil=1)
bad("a wrong sum of nothing", "bad-crc", DATA, b"", 2, CRC, spoil=0x80000000)
bad("a wrong sum of a PING", "bad-crc", PING, b"", 2, CRC, spoil=1)
bad("a HELLO that is not a message", "malformed", HELLO, b"\xff\xff\xff")
bad("a PING whose stamp is cut off", "malformed", PING, b"\x09\x01")
bad("an ERROR whose text is not UTF-8", "malformed", ERROR, message((2, 2, b"\xff")))
bad("a GOAWAY of the wrong wire type", "malformed", GOAWAY, message((1, 2, b"abc")))
case("the first frame is good, the second is not", frame(DATA, b"abc", 1) + frame(DATA, b"", 2, reserved=1),
     told(DATA, b"abc", 1), refusal="reserved-set")
case("more than one fault: the first wrong byte decides",
     frame(7, version=2, flags=0x80, reserved=1, length=0xFFFFFFFF), refusal="version-unknown")
case("a datagram that is cut off", frame(DATA, b"abc", 1, CRC)[:-1], over="datagram", refusal="length-mismatch")
case("a datagram with more behind it", frame(DATA, b"abc", 1) + b"x", over="datagram", refusal="length-mismatch")
case("two frames in a datagram", frame(PING, seq=1) * 2, over="datagram", refusal="length-mismatch")
case("an empty datagram", b"", over="datagram", refusal="length-mismatch")

with open("crates/proto/tests/golden/frame/frames.json", "w", encoding="utf-8") as out:
    json.dump(CASES, out, indent=1, ensure_ascii=False)
    out.write("\n")
