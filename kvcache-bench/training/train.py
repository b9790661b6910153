#!/usr/bin/env python3
"""Trains the recall model; README.md gives the command. Resumes from --checkpoint if it exists."""

import argparse
import math
import os
import sys
import time

# Threads that wait without spinning and memory that is kept: three times faster. Read at program start.
TUNING = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
    "OPENBLAS_THREAD_TIMEOUT": "10",
    "MALLOC_MMAP_THRESHOLD_": "2000000000",
    "MALLOC_TRIM_THRESHOLD_": "8000000000",
    "MALLOC_TOP_PAD_": "500000000",
}
if __name__ == "__main__" and not TUNING.items() <= os.environ.items():
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **TUNING})

import numpy as np
import torch
import torch.nn.functional as F

from evaluate import report
from model import Batch, RecallModel, Shape
from stream import KINDS, Stream, by_length, compile_generator, vocabulary

LEVELS = [60, 100, 160, 320, 640, 1280, 2000]  # longest document, tokens; a kind moves up when it is learned
PROMOTE_AT = 0.92  # share of exact answers, moving average


class Curriculum:
    """One stream per kind, each at its own document length."""

    def __init__(self, options, state):
        self.options = options
        self.levels = state.get("levels", [0] * len(KINDS))
        self.seeds = state.get("seeds", [0] * len(KINDS))
        self.accuracy = state.get("accuracy", [0.0] * len(KINDS))
        self.streams = [None] * len(KINDS)
        self.waiting = []
        self.random = np.random.default_rng(sum(self.seeds))

    def state(self):
        return {"levels": self.levels, "seeds": self.seeds, "accuracy": self.accuracy}

    def next_batch(self):
        if not self.waiting:
            examples = []
            drawn = np.zeros(len(KINDS))
            shares = self._shares()
            while drawn.sum() < 16 * self.options.batch_tokens:
                kind = int(np.argmin((drawn + 1) / shares))
                examples.append(self._draw(kind))
                drawn[kind] += len(examples[-1].tokens)
            self.waiting = by_length(examples, self.options.batch_tokens)
            self.random.shuffle(self.waiting)
        return Batch(self.waiting.pop())

    def learned(self, kinds, exact):
        """Takes note of a batch's result and moves kinds up."""
        for kind in range(len(KINDS)):
            mine = exact[kinds == kind]
            if len(mine) == 0:
                continue
            weight = 1 - 0.95 ** (len(mine) / 20)
            self.accuracy[kind] += weight * (mine.mean() - self.accuracy[kind])
            if self.accuracy[kind] > PROMOTE_AT and self.levels[kind] + 1 < len(LEVELS):
                self.levels[kind] += 1
                self.accuracy[kind] = 0.5
                self.waiting = []
                self.streams[kind].close()
                self.streams[kind] = None

    def close(self):
        for stream in filter(None, self.streams):
            stream.close()

    def _shares(self):
        """Of the tokens: much for what is not yet learned. At first only the first kind, the simplest."""
        if self.levels[0] == 0:
            return np.array([1.0] + [1e-9] * (len(KINDS) - 1))
        return np.array([
            0.2 if level == len(LEVELS) - 1 and accuracy > 0.98 else 1.0
            for level, accuracy in zip(self.levels, self.accuracy)])

    def _draw(self, kind):
        if self.streams[kind] is None:
            options = self.options
            self.streams[kind] = Stream(
                KINDS[kind], self.seeds[kind], options.min_tokens, LEVELS[self.levels[kind]],
                options.questions, options.chained)
        self.seeds[kind] += 1
        return self.streams[kind].next()


def learning_rate(step, options):
    warm = min(1.0, (step + 1) / options.warmup)
    left = (options.steps - step) / (options.steps * options.decay)
    return options.rate * warm * min(1.0, max(left, 0.02))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--warmup", type=int, default=50)
    parser.add_argument("--decay", type=float, default=0.35, help="last share of the steps, rate falls to 0")
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--min-tokens", type=int, default=40)
    parser.add_argument("--questions", type=int, default=24, help="at most, per document")
    parser.add_argument("--chained", type=float, default=0.3, help="share of examples")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    compile_generator()
    torch.manual_seed(options.seed)
    words = vocabulary()
    if os.path.exists(options.checkpoint):
        saved = torch.load(options.checkpoint)
    else:
        saved = {"shape": Shape(len(words), layers=options.layers).to_dict(), "step": 0, "curriculum": {}}
    model = RecallModel(Shape(**saved["shape"]))
    matrices = [p for p in model.parameters() if p.dim() == 2]
    gains = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.01}, {"params": gains, "weight_decay": 0.0}],
        lr=options.rate, betas=(0.9, 0.98))
    if "model" in saved:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
    else:
        model.prepare()
    print(sum(p.numel() for p in model.parameters()), "parameters", saved["shape"], flush=True)
    curriculum = Curriculum(options, saved["curriculum"])

    started, tokens, losses = time.time(), 0, []
    for step in range(saved["step"], options.steps):
        batch = curriculum.next_batch()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, options)
        logits = model(batch, dtype=torch.bfloat16)
        loss = F.cross_entropy(logits, batch.targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        curriculum.learned(batch.kinds, batch.exact(logits.detach()))
        losses.append(loss.item())
        tokens += batch.tokens.numel()
        if (step + 1) % 20 == 0:
            seconds = time.time() - started
            kinds = " ".join(
                f"{kind[:3].lower()} {LEVELS[level]}:{accuracy:.2f}"
                for kind, level, accuracy in zip(KINDS, curriculum.levels, curriculum.accuracy))
            print(f"step {step + 1} {seconds:.0f} s loss {np.mean(losses):.4f} {kinds} "
                  f"{tokens / seconds:.0f} tokens/s", flush=True)
            losses = []
        if (step + 1) % 200 == 0 or step + 1 == options.steps:
            saved.update(model=model.state_dict(), optimizer=optimizer.state_dict(), step=step + 1,
                         curriculum=curriculum.state())
            torch.save(saved, options.checkpoint + ".new")
            os.replace(options.checkpoint + ".new", options.checkpoint)
        if math.isnan(losses[-1] if losses else 0.0):
            raise SystemExit("loss is not a number")
    curriculum.close()
    report(model)


if __name__ == "__main__":
    main()
