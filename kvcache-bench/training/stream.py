"""Examples from the Java generator (io.kvcache.bench.task.TrainingStream), through a pipe."""

import glob
import os
import subprocess
from dataclasses import dataclass

import numpy as np

KINDS = ["NOTES", "LEDGER", "STORY", "LOG", "REFERENCE", "NUMBERS"]
FIRST_HELD_OUT_SEED = 1 << 40  # as in DocumentGenerator
TRAINING_DIR = os.path.dirname(os.path.abspath(__file__))
BENCH_DIR = os.path.dirname(TRAINING_DIR)
CLASSES = os.path.join(BENCH_DIR, "target", "task-classes")


@dataclass
class Example:
    kind: int
    tokens: np.ndarray
    positions: np.ndarray
    branches: np.ndarray
    predicted: np.ndarray


def jdk():
    """The home of a JDK 25."""
    for home in [os.environ.get("JAVA_HOME", "")] + sorted(glob.glob("/usr/lib/jvm/*25*")):
        release = os.path.join(home, "release")
        if os.path.exists(release) and 'JAVA_VERSION="25' in open(release).read():
            return home
    raise SystemExit("no JDK 25 found: set JAVA_HOME")


def compile_generator():
    sources = glob.glob(os.path.join(BENCH_DIR, "src/main/java/io/kvcache/bench/task/*.java"))
    os.makedirs(CLASSES, exist_ok=True)
    subprocess.run([os.path.join(jdk(), "bin/javac"), "-d", CLASSES, *sources], check=True)


def java_command(*arguments):
    return [os.path.join(jdk(), "bin/java"), "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-cp", CLASSES, "io.kvcache.bench.task.TrainingStream", *map(str, arguments)]


def vocabulary():
    output = subprocess.run(java_command("vocabulary"), check=True, stdout=subprocess.PIPE, text=True)
    return output.stdout.split()


class Stream:
    """Examples of one kind, from `seed` on, documents of min_tokens to max_tokens."""

    def __init__(self, kind, seed, min_tokens, max_tokens, questions, chained, count=1 << 39):
        self.process = subprocess.Popen(
            java_command(seed, count, min_tokens, max_tokens, questions, chained, kind),
            stdout=subprocess.PIPE, bufsize=1 << 16)

    def next(self):
        """The next example, or None at the end."""
        header = self.process.stdout.read(8)
        if len(header) < 8:
            return None
        kind, length = np.frombuffer(header, "<i4")
        rows = np.frombuffer(self.process.stdout.read(8 * length), "<i2").reshape(4, length)
        return Example(int(kind), rows[0], rows[1], rows[2], rows[3] != 0)

    def close(self):
        self.process.kill()
        self.process.stdout.close()
        self.process.wait()


def held_out(kind, count, min_tokens, max_tokens, questions, chained):
    stream = Stream(kind, FIRST_HELD_OUT_SEED, min_tokens, max_tokens, questions, chained, count)
    examples = [stream.next() for _ in range(count)]
    stream.close()
    return examples


def by_length(examples, max_tokens):
    """Lists of examples of similar length, each at most max_tokens after padding."""
    batches, batch = [], []
    for example in sorted(examples, key=lambda e: len(e.tokens)):
        if batch and (len(batch) + 1) * len(example.tokens) > max_tokens:
            batches.append(batch)
            batch = []
        batch.append(example)
    return batches + [batch]
