"""Processes that time their work when told to: both halves of a comparison are loaded, then run in turns.

A worker prints one JSON line of facts when it is ready; for each line "N" of its stdin it repeats its work N times and
prints one line {"ms": [...], ...}; when stdin ends, {"rss_mb": ...}. bench/turns.h and bench/peer_turns.py are the
other side.
"""
import json
import subprocess
import tempfile


class BenchError(Exception):
    pass


class Worker:
    def __init__(self, command, environment):
        self.command = [str(part) for part in command]
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(self.command, env=environment, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors)
        self.facts = self.read()

    def read(self):
        for line in self.process.stdout:
            if line.startswith('{"'):  # libraries print, too
                return json.loads(line)
        self.process.wait()
        self.errors.seek(0)
        raise BenchError(f"{' '.join(self.command)} ended with {self.process.returncode}:\n"
                         + "".join(self.errors.readlines()[-12:]))

    def turn(self, repetitions):
        self.process.stdin.write(f"{repetitions}\n")
        self.process.stdin.flush()
        return self.read()

    def finish(self):
        self.process.stdin.close()
        last = self.read()
        self.process.wait()
        return last

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            stream.close()


def run_once(command, environment):
    """The one JSON line of a command that takes no turns."""
    worker = Worker(command, environment)
    try:
        worker.process.stdin.close()
        worker.process.wait()
        return worker.facts
    finally:
        worker.stop()
