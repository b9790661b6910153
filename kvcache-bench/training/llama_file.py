"""The llama2.c checkpoint format: little-endian, float32, RoPE on adjacent pairs, tied output."""

import os
import struct

import numpy as np
import torch

from model import RecallModel, Shape
from stream import BENCH_DIR

WEIGHTS = os.path.join(BENCH_DIR, "src/main/resources/io/kvcache/bench/model/recall.bin")
HEADER = "<7i"  # dim, hidden, layers, heads, kv heads, vocabulary (positive: tied), context
BLOCK_ORDER = ["attention_norm", "wq", "wk", "wv", "wo", "mlp_norm", "gate", "down", "up"]


def tensors(model):
    """The parameters in the order of the file; each of BLOCK_ORDER for all layers in a row."""
    yield model.embedding
    for name in BLOCK_ORDER:
        for block in model.blocks:
            yield getattr(block, name)
    yield model.final_norm


@torch.no_grad()
def write(model, path):
    shape = model.shape
    with open(path, "wb") as file:
        file.write(struct.pack(HEADER, shape.dim, shape.hidden, shape.layers, shape.heads, shape.kv_heads,
                               shape.vocabulary, shape.context))
        for tensor in tensors(model):
            if tensor is model.final_norm:
                tensor = tensor * model.logit_scale
            file.write(tensor.contiguous().numpy().astype("<f4").tobytes())
        for table in (model.turns.real, model.turns.imag):  # readers may ignore them
            file.write(table.contiguous().numpy().astype("<f4").tobytes())


@torch.no_grad()
def read(path):
    with open(path, "rb") as file:
        dim, hidden, layers, heads, kv_heads, vocabulary, context = struct.unpack(HEADER, file.read(28))
        if vocabulary < 0:
            raise ValueError("a separate output matrix is not supported")
        model = RecallModel(Shape(vocabulary, dim, hidden, layers, heads, kv_heads, context))
        model.logit_scale = 1.0
        for tensor in tensors(model):
            values = np.frombuffer(file.read(4 * tensor.numel()), "<f4").copy()
            tensor.copy_(torch.from_numpy(values).view_as(tensor))
    return model
