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
        try:
            self.process.stdin.write(f"{repetitions}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # read() says how it ended
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
            try:
                stream.close()
            except BrokenPipeError:
                pass


def take_turns(workers, setting, before_round=lambda: None):
    """What one or two workers report: turn by turn for each place, the first to go changing every round; the ends."""
    turns = [[], []]
    for number in range(setting.rounds):
        before_round()
        order = list(enumerate(workers))
        for place, worker in order if number % 2 == 0 else reversed(order):
            turns[place].append(worker.turn(setting.steps))
    return turns, [worker.finish() for worker in workers]


def run_once(command, environment):
    """The one JSON line of a command that takes no turns."""
    worker = Worker(command, environment)
    try:
        worker.process.stdin.close()
        worker.process.wait()
        return worker.facts
    finally:
        worker.stop()
