#!/usr/bin/env python3
"""The load generator beside others: how much it can ask for, what it costs, how late it is.

    cargo build --release -p ringmill -p ringmill-load
    bench/load.py [--rounds 7] [--seconds 2] [--only closed|pipelined|open] [--out FILE.md]

Python 3 and nothing else; wrk and h2load take part when they are there. The server has core 0, the generator under test core 1, one
runs at a time, and each round has its own order. Prints medians with their ranges, and ratios within rounds.
"""

import argparse
import json
import os
import platform
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

ARGS = argparse.ArgumentParser(description=__doc__.splitlines()[0])
ARGS.add_argument("--rounds", type=int, default=7)
ARGS.add_argument("--seconds", type=float, default=2)
ARGS.add_argument("--seed", type=int, default=1)
ARGS.add_argument("--only", action="append", choices=["closed", "pipelined", "open"])
ARGS.add_argument("--programs", default="target/release")
ARGS.add_argument("--realtime", action="store_true", help="run both before all else (needs root); for a machine that others use")
ARGS.add_argument("--out")
A = ARGS.parse_args()

PIPELINE = """
init = function(args) local r = {} for i = 1, 16 do r[i] = wrk.format("GET", "/ping") end req = table.concat(r) end
request = function() return req end
"""
LINES = []


def say(line=""):
    print(line, flush=True)
    LINES.append(line)


class Server:
    """`ringmill` on core 0."""

    def __init__(self):
        nice = ["chrt", "-r", "50"] if A.realtime else []
        command = nice + [f"{A.programs}/ringmill", "--cores", "0", "--listen", "http://127.0.0.1:0", "--listen", "echo://127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.urls = {}
        for line in self.process.stdout:
            found = re.match(r"(http|echo)://\S+", line)
            if found:
                self.urls[found[1]] = found[0]
            if "Ctrl-C" in line:
                break

    def end(self):
        self.process.terminate()
        self.process.communicate()


def run(command, cores="1"):
    """Runs a program on core 1. Its output, and the CPU time of all its threads."""
    nice = ["chrt", "-r", "50"] if A.realtime else []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(nice + ["taskset", "-c", cores, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def wrk(url, pipeline):
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        flags = []
        if pipeline > 1:
            script.write(PIPELINE)
            script.flush()
            flags = ["-s", script.name]
        text, cpu_s = run(["wrk", "-t1", "-c64", f"-d{max(1, round(A.seconds))}s", *flags, url])
    requests, seconds = re.search(r"(\d+) requests in ([\d.]+)s", text).groups()
    return {"per_s": int(requests) / float(seconds), "cpu_ns": cpu_s * 1e9 / int(requests)}


def h2load(url, pipeline):
    text, cpu_s = run(["h2load", "--h1", "-t1", "-c64", f"-m{pipeline}", f"-D{max(1, round(A.seconds))}", url])
    rate = float(re.search(r"finished in [\d.]+s, ([\d.]+) req/s", text)[1])
    total = int(re.search(r"requests: (\d+) total", text)[1])
    return {"per_s": rate, "cpu_ns": cpu_s * 1e9 / max(total, 1)}


def floor(url, pipeline):
    """The small loop of bench/floor: it throws answers away in the kernel and only counts their bytes. Nobody can be faster."""
    command = ["bench/floor/target/release/client", "--mode", "http", "--addr", url.split("/")[2], "--core", "1",
               "--connections", "64", "--depth", str(pipeline), "--seconds", str(A.seconds), "--warmup-ms", "300"]
    text, cpu_s = run(command)
    result = json.loads(text)
    return {"per_s": result["messages"] / (result["measured_ns"] / 1e9), "cpu_ns": cpu_s * 1e9 / result["messages_ever"]}


def others(pipeline):
    """The other tools that are there."""
    found = {}
    for name, tool in (("wrk", wrk), ("h2load", h2load), ("bench/floor client, which looks at nothing", floor)):
        if shutil.which(name.split(",")[0].replace("bench/floor client", "bench/floor/target/release/client")):
            found[name] = lambda urls, tool=tool: tool(urls["http"] + "/ping", pipeline)
        else:
            say(f"{name} is not there and takes no part")
    return found


def ours(url, *flags, connections=64):
    command = [f"{A.programs}/ringmill-load", url, "--cores", "1", "--connections", str(connections), "--warmup", "300ms",
               "--duration", f"{A.seconds}s", "--quiet", "--json", "-", *flags]
    # Its shard keeps to core 1; the thread that joins histograms once a step must not take that core from it.
    text, cpu_s = run(command, "0,1")
    if not text:
        sys.exit("no result of: " + " ".join(command))
    result = json.loads(text)
    seen = result["arrivals"]["answered"] + result["arrivals"]["warmup"]
    lag, service = result["latency"]["send_lag"], result["latency"]["service"]
    return {
        "per_s": result["rate"]["achieved_per_s"],
        "cpu_ns": cpu_s * 1e9 / max(seen, 1),
        "lag_p50_us": (lag["p50_ns"] or 0) / 1e3,
        "lag_p99_us": (lag["p99_ns"] or 0) / 1e3,
        "lag_p99_9_us": (lag["p99_9_ns"] or 0) / 1e3,
        "service_p99_us": (service["p99_ns"] or 0) / 1e3,
        "work_ns": result["generator"]["cpu_ns_per_request"],
        "errors": sum(result["errors"].values()),
        "verdict": result["verdict"]["state"],
        "reasons": result["verdict"]["reasons"],
    }


def spread(values, digits=0):
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f}..{high:,.{digits}f})"


def contest(title, contenders, baseline):
    """Rounds of all contenders, in an order that each round draws."""
    say(f"\n## {title}\n")
    rng, seen = random.Random(A.seed), {name: [] for name in contenders}
    for _ in range(A.rounds):
        order = list(contenders)
        rng.shuffle(order)
        for name in order:
            server = Server()
            seen[name].append(contenders[name](server.urls))
            server.end()
    say(f"| generator | requests/s | of {baseline} | CPU ns a request | of {baseline} |\n|---|---|---|---|---|")
    for name, runs in seen.items():
        ratio = lambda key: spread([mine[key] / other[key] for mine, other in zip(runs, seen[baseline])], 2)
        say(f"| {name} | {spread([r['per_s'] for r in runs])} | {ratio('per_s')} "
            f"| {spread([r['cpu_ns'] for r in runs])} | {ratio('cpu_ns')} |")
    return seen


def closed(title, pipeline):
    flags = ("--closed", "--pipeline", str(pipeline))
    all_ = {"ringmill-load": lambda urls: ours(urls["http"] + "/ping", *flags),
            "ringmill-load --no-verify": lambda urls: ours(urls["http"] + "/ping", *flags, "--no-verify"), **others(pipeline)}
    seen = contest(title, all_, "wrk" if "wrk" in all_ else "ringmill-load")
    return statistics.median(run["per_s"] for run in seen["ringmill-load"])


def open_loop(most_per_s):
    say("\n## Open loop at half of that\n")
    say("| arrivals | idle | rate asked | send_lag p50 us | p99 us | p99.9 us | service p99 us | CPU ns a request without spin | verdicts |")
    say("|---|---|---|---|---|---|---|---|---|")
    forms = [(law, idle) for law in ("constant", "poisson") for idle in ("hybrid", "spin")]
    seen, rng = {form: [] for form in forms}, random.Random(A.seed)
    for _ in range(A.rounds):
        rng.shuffle(forms)
        for law, idle in forms:
            server = Server()
            seen[law, idle].append(ours(server.urls["http"] + "/ping", "--rate", f"{most_per_s / 2:.0f}", "--arrivals", law,
                                        "--idle", idle, connections=256))
            server.end()
    for (law, idle), runs in seen.items():
        of = lambda key: spread([run[key] for run in runs], 1)
        verdicts = ", ".join(f"{sum(r['verdict'] == v for r in runs)} {v}" for v in ("valid", "degraded", "invalid"))
        say(f"| {law} | {idle} | {most_per_s / 2:,.0f} | {of('lag_p50_us')} | {of('lag_p99_us')} | {of('lag_p99_9_us')} "
            f"| {of('service_p99_us')} | {spread([run['work_ns'] for run in runs])} | {verdicts} |")
    for why in sorted({r.split(":")[0] for runs in seen.values() for run in runs for r in run["reasons"]}):
        say(f"\nNot valid for: {why}")


STILL = """
import time
until, last, still, most = time.perf_counter() + 3, time.perf_counter(), 0, 0
while last < until:
    now = time.perf_counter()
    if now - last > 1e-4:
        still, most = still + now - last, max(most, now - last)
    last = now
print(still / 3 * 100, most * 1e3)
"""


def machine():
    """What the machine takes from programs that do nothing but look at the clock, one on each core."""
    both = [subprocess.Popen(["taskset", "-c", core, sys.executable, "-c", STILL], stdout=subprocess.PIPE, text=True) for core in "01"]
    for core, one in zip("01", both):
        percent, most = one.communicate()[0].split()
        say(f"\nCore {core}: a program that only looks at the clock stood still, for 100 us or more at a time, for "
            f"{float(percent):.2f} % of 3 s; {float(most):.1f} ms at most.")


def main():
    flags = " ".join(sys.argv[1:])
    say(f"`bench/load.py {flags}`, {platform.release()}, {os.cpu_count()} CPUs, {A.rounds} rounds of {A.seconds} s")
    machine()
    only = A.only or ["closed", "pipelined", "open"]
    most = 200_000
    if "closed" in only:
        most = closed("Closed loop, HTTP `/ping`, 64 connections", 1)
    if "pipelined" in only:
        closed("Closed loop, HTTP `/ping`, 64 connections, 16 requests outstanding on each", 16)
    if "open" in only:
        open_loop(most)
    if A.out:
        with open(A.out, "w") as out:
            out.write("\n".join(LINES) + "\n")


main()
