#!/usr/bin/env python3
"""What Ringmill costs while it waits, and what readers that never read do to the next client.

    cargo build --release -p ringmill
    bench/at-rest.py [target/release/ringmill]

Python 3 and nothing else. Raises its soft RLIMIT_NOFILE to the hard one; loopback only; about a minute.
"""

import os
import resource
import socket
import statistics
import subprocess
import sys
import time

IDLE = 10_000
SLOW = 1_000
PROGRAM = sys.argv[1] if len(sys.argv) > 1 else "target/release/ringmill"


class Server:
    def __init__(self, url, *flags):
        command = [PROGRAM, "--listen", url + "://127.0.0.1:0", *flags]
        begun = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while True:
            line = self.process.stdout.readline()
            if line.startswith(url + "://"):
                host, port = line.split()[0].split("//")[1].rsplit(":", 1)
                self.address = (host, int(port))
            if "Ctrl-C" in line or not line:
                break
        self.start_ms = (time.perf_counter() - begun) * 1000

    def status(self, key, task=None):
        path = f"/proc/{self.process.pid}/{'task/' + task + '/' if task else ''}status"
        return int(next(line.split()[1] for line in open(path) if line.startswith(key + ":")))

    def switches(self):
        tasks = os.listdir(f"/proc/{self.process.pid}/task")
        return sum(self.status(f"{kind}voluntary_ctxt_switches", task) for task in tasks for kind in ("", "non"))

    def connect(self, count):
        return [socket.create_connection(self.address) for _ in range(count)]

    def end(self):
        self.process.terminate()
        self.process.communicate()


def exchange(client, url):
    question, answer = (b"x" * 64, 64) if url == "echo" else (b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n", 60)
    client.sendall(question)
    heard = 0
    while heard < answer:
        heard += len(client.recv(4096))


def percentiles(client, url, seconds):
    times = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        begun = time.perf_counter()
        exchange(client, url)
        times.append((time.perf_counter() - begun) * 1e6)
    times.sort()
    return statistics.median(times), times[int(len(times) * 0.99)]


def at_rest(url):
    server = Server(url, "--shards", "1")
    before = server.status("VmRSS")
    few = server.connect(400)
    for client in few:
        exchange(client, url)
    time.sleep(1)
    base = server.status("VmRSS")
    many = server.connect(IDLE - 400)
    for client in many:
        exchange(client, url)
    time.sleep(2)
    full, switches = server.status("VmRSS"), server.switches()
    time.sleep(5)
    switches = server.switches() - switches
    each = (full - base) * 1024 / (IDLE - 400)
    print(f"{url}: RSS {before} kB before the first connection, {each:.0f} B more for each of {IDLE} idle ones, "
          f"{switches} context switches in 5 s; started in {server.start_ms:.0f} ms")
    server.end()


def never_read(url):
    """The next client before, while, and after a thousand others ask for much and read nothing."""
    server = Server(url, "--shards", "1")
    client = server.connect(1)[0]
    alone = percentiles(client, url, 3)
    slow = server.connect(SLOW)
    ask = b"x" * 65536 if url == "echo" else b"GET /bytes/10000000 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for one in slow:
        one.setblocking(False)
        try:
            while url == "echo":
                one.send(ask)
            one.send(ask)
        except BlockingIOError:
            pass
    arriving = percentiles(client, url, 3)
    time.sleep(5)
    beside = percentiles(client, url, 10)
    print(f"{url}: p50 {alone[0]:.0f} us, p99 {alone[1]:.0f} us alone; {arriving[0]:.0f} us, {arriving[1]:.0f} us while {SLOW} arrive "
          f"that never read; {beside[0]:.0f} us, {beside[1]:.0f} us when they are there; RSS {server.status('VmRSS')} kB")
    server.end()


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for url in ("http", "echo"):
        at_rest(url)
    two = Server("http")
    print(f"{two.status('VmRSS')} kB with one shard on each core")
    two.end()
    for url in ("http", "echo"):
        never_read(url)


main()
