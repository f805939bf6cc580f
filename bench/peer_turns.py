"""The peer's side of turns.py."""
import json
import os
import resource
import sys
import time


def arguments():
    """key=value … as a dictionary."""
    return dict(argument.split("=", 1) for argument in sys.argv[1:])


def threads():
    return int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0))))


def rss_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def say(line):
    print(json.dumps(line), flush=True)


def time_each(repetitions, work):
    ms, cpu_ms = [], []
    for _ in range(repetitions):
        begin, started = time.perf_counter(), time.process_time()
        work()
        cpu_ms.append((time.process_time() - started) * 1000)
        ms.append((time.perf_counter() - begin) * 1000)
    return {"ms": ms, "cpu_ms": cpu_ms}


def run_turns(facts, turn):
    """`turn(n)` repeats the work n times and returns a line."""
    say(facts)
    for line in sys.stdin:
        say(turn(int(line)))
    say({"rss_mb": rss_mb()})
