#!/usr/bin/env python3
"""Writes the shipped weights and the golden values of their test from a training checkpoint."""

import argparse
import os
import zlib

import numpy as np
import torch

import llama_file
from llama_file import WEIGHTS
from model import Batch, RecallModel, Shape, rms_norm, rotate
from stream import BENCH_DIR, FIRST_HELD_OUT_SEED, KINDS, Example, compile_generator, held_out

GOLDEN = os.path.join(BENCH_DIR, "src/test/resources/io/kvcache/bench/model/recall-golden.properties")
END = 4  # Vocabulary.END
MAX_ANSWER_TOKENS = 7  # RecallQuestion.MAX_ANSWER_TOKENS


def load(path):
    saved = torch.load(path)
    shape = Shape(**{**saved["shape"], "context": Shape(0).context})
    model = RecallModel(shape)
    model.load_state_dict(saved["model"])
    return model


def next_logits(model, tokens, round_kv):
    """Logits of the token after `tokens`."""
    length = len(tokens) + 1
    predicted = np.arange(length) == length - 1
    example = Example(0, np.append(tokens, 0), np.arange(length), np.zeros(length), predicted)
    return model(Batch([example]), round_kv)[0]


def greedy(model, prompt, round_kv):
    answer = []
    while len(answer) < MAX_ANSWER_TOKENS and END not in answer:
        answer.append(int(next_logits(model, np.append(prompt, answer), round_kv).argmax()))
    return answer


def first_key(model, token, position):
    """The key of layer 0, KV head 0 in float32, which depends on its own token only."""
    block = model.blocks[0]
    h = rms_norm(model.embedding[token], block.attention_norm, model.shape.epsilon)
    key = (h @ block.wk.T)[: model.shape.head_dim].view(1, 1, 1, -1)
    return rotate(key, model.turns[position].view(1, 1, -1)).flatten()


@torch.no_grad()
def golden(model):
    def numbers(values):
        return " ".join(f"{float(v):.6g}" for v in values)

    lines = [
        "# What the shipped weights compute, from an independent implementation (training/export.py).",
        "# Prompt: the document of this kind, seed and standard size, then its first question.",
        "# crc32: of the prompt's tokens as little-endian int32. logits: the first 8 after the prompt.",
        "# f32: K and V not rounded; bf16: rounded when produced (K after RoPE).",
        "# key: layer 0, KV head 0, the prompt's last token, first 8 elements, not rounded.",
    ]
    for kind in KINDS:
        example = held_out(kind, 1, 500, 2000, 1, 0.0)[0]
        prompt = example.tokens[: np.flatnonzero(example.predicted)[0]].astype(np.int64)
        name = kind.lower()
        lines += [
            f"{name}.seed={FIRST_HELD_OUT_SEED}",
            f"{name}.tokens={len(prompt)}",
            f"{name}.crc32={zlib.crc32(prompt.astype('<i4').tobytes())}",
            f"{name}.key={numbers(first_key(model, prompt[-1], len(prompt) - 1)[:8])}",
        ]
        for label, round_kv in (("f32", False), ("bf16", True)):
            logits = next_logits(model, prompt, round_kv)
            lines += [
                f"{name}.logits.{label}={numbers(logits[:8])}",
                f"{name}.argmax.{label}={int(logits.argmax())}",
                f"{name}.maxLogit.{label}={float(logits.max()):.6g}",
                f"{name}.answer.{label}={' '.join(map(str, greedy(model, prompt, round_kv)))}",
            ]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True)
    options = parser.parse_args()
    compile_generator()
    for path in (WEIGHTS, GOLDEN):
        os.makedirs(os.path.dirname(path), exist_ok=True)
    llama_file.write(load(options.checkpoint), WEIGHTS)
    print(WEIGHTS, os.path.getsize(WEIGHTS), "bytes")
    with open(GOLDEN, "w") as file:
        file.write(golden(llama_file.read(WEIGHTS)))
    print(GOLDEN)


if __name__ == "__main__":
    main()
