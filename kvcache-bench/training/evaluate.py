#!/usr/bin/env python3
"""Prints the shipped weights' share of exact answers per kind of document, on held-out documents."""

import argparse

import numpy as np
import torch

import llama_file
from llama_file import WEIGHTS
from model import Batch
from stream import KINDS, by_length, compile_generator, held_out

MIN_TOKENS, MAX_TOKENS = 500, 2000  # DocumentSize.STANDARD


@torch.no_grad()
def exact_answers(model, kind, documents, questions, round_kv):
    """Per question whether greedy decoding gives the answer and its end, right after the document."""
    examples = held_out(kind, documents, MIN_TOKENS, MAX_TOKENS, questions, 0.0)
    batches = map(Batch, by_length(examples, 8192))
    return np.concatenate([batch.exact(model(batch, round_kv)) for batch in batches])


def report(model, documents=40, questions=25):
    print(f"{documents} held-out documents of {MIN_TOKENS} to {MAX_TOKENS} tokens per kind, "
          f"up to {questions} questions each; exact answers in %, K and V in bf16 / float32")
    for kind in KINDS:
        rounded, full = (exact_answers(model, kind, documents, questions, r) for r in (True, False))
        print(f"  {kind:10s} {100 * rounded.mean():6.2f} / {100 * full.mean():6.2f} of {len(full)}",
              flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=40)
    parser.add_argument("--questions", type=int, default=25, help="at most, per document")
    options = parser.parse_args()
    compile_generator()
    report(llama_file.read(WEIGHTS), options.documents, options.questions)


if __name__ == "__main__":
    main()
