#!/usr/bin/env python3
"""Writes the shipped weights as a Hugging Face LlamaForCausalLM directory and checks the result.

Needs neither transformers nor safetensors. Queries and keys are permuted from RoPE on adjacent pairs
to RoPE on halves, which is what that library expects.
"""

import argparse
import json
import math
import os
import struct

import numpy as np
import torch
import torch.nn.functional as F

import llama_file
from llama_file import WEIGHTS
from model import Batch
from stream import KINDS, compile_generator, held_out, vocabulary

BLOCK_NAMES = {
    "attention_norm": "input_layernorm",
    "wq": "self_attn.q_proj",
    "wk": "self_attn.k_proj",
    "wv": "self_attn.v_proj",
    "wo": "self_attn.o_proj",
    "mlp_norm": "post_attention_layernorm",
    "gate": "mlp.gate_proj",
    "down": "mlp.down_proj",
    "up": "mlp.up_proj",
}


def pairs_to_halves(weight, heads):
    """Moves elements 2i and 2i+1 of every head to i and i + head_dim / 2."""
    rows, columns = weight.shape
    return weight.view(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)


def named_tensors(model):
    named = {"model.embed_tokens.weight": model.embedding, "model.norm.weight": model.final_norm}
    for layer, block in enumerate(model.blocks):
        for ours, theirs in BLOCK_NAMES.items():
            tensor = getattr(block, ours)
            if ours == "wq":
                tensor = pairs_to_halves(tensor, model.shape.heads)
            if ours == "wk":
                tensor = pairs_to_halves(tensor, model.shape.kv_heads)
            named[f"model.layers.{layer}.{theirs}.weight"] = tensor
    return {name: tensor.detach().contiguous().numpy() for name, tensor in named.items()}


def config(shape):
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.dim,
        "intermediate_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": shape.epsilon,
        "rope_theta": shape.theta,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 4,
        "pad_token_id": 0,
        "torch_dtype": "float32",
    }


def tokenizer(words):
    markers = [w for w in words if w.startswith("<")]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": words.index(w), "content": w, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True} for w in markers],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {w: i for i, w in enumerate(words)}, "unk_token": "<pad>"},
    }


def write_safetensors(named, path):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, array in named.items():
        header[name] = {
            "dtype": "F32", "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in named.values():
            file.write(array.astype("<f4").tobytes())


def read_safetensors(path):
    data = open(path, "rb").read()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    named = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = (8 + length + o for o in entry["data_offsets"])
            values = np.frombuffer(data[start:end], "<f4").copy().reshape(entry["shape"])
            named[name] = torch.from_numpy(values)
    return named


def hugging_face_logits(directory, tokens):
    """Logits after every token, computed from the exported files alone, as transformers does."""
    c = json.load(open(os.path.join(directory, "config.json")))
    w = read_safetensors(os.path.join(directory, "model.safetensors"))
    heads, kv_heads, dim = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
    inverse = c["rope_theta"] ** (-torch.arange(0, dim, 2).double() / dim)
    angles = torch.arange(len(tokens)).double()[:, None] * torch.cat((inverse, inverse))
    cos, sin = angles.cos().float(), angles.sin().float()

    def norm(x, name):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + c["rms_norm_eps"]) * w[name + ".weight"]

    def rope(x):
        halves = torch.cat((-x[..., dim // 2 :], x[..., : dim // 2]), -1)
        return x * cos + halves * sin

    x = w["model.embed_tokens.weight"][tokens]
    mask = torch.full((len(tokens), len(tokens)), -math.inf).triu(1)
    for layer in range(c["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        h = norm(x, at + "input_layernorm")
        q, k, v = (
            (h @ w[f"{at}self_attn.{p}_proj.weight"].T).view(len(tokens), -1, dim).transpose(0, 1)
            for p in "qkv")
        k, v = (t.repeat_interleave(heads // kv_heads, 0) for t in (rope(k), v))
        weights = (rope(q) @ k.transpose(1, 2) / math.sqrt(dim) + mask).softmax(-1)
        x = x + (weights @ v).transpose(0, 1).flatten(1) @ w[at + "self_attn.o_proj.weight"].T
        h = norm(x, at + "post_attention_layernorm")
        gate, up = (h @ w[f"{at}mlp.{p}_proj.weight"].T for p in ("gate", "up"))
        x = x + (F.silu(gate) * up) @ w[at + "mlp.down_proj.weight"].T
    return norm(x, "model.norm") @ w["model.embed_tokens.weight"].T


@torch.no_grad()
def check(model, directory):
    """Compares with the model the weights come from, on held-out documents of every kind."""
    for kind in KINDS:
        example = held_out(kind, 1, 500, 2000, 4, 1.0)[0]
        ours = model(Batch([example]), round_kv=False)
        theirs = hugging_face_logits(directory, torch.from_numpy(example.tokens.astype(np.int64)))
        theirs = theirs[np.flatnonzero(example.predicted) - 1]
        difference = float((ours - theirs).abs().max())
        print(f"{kind}: {len(ours)} tokens, largest logit difference {difference:.2e}")
        if difference > 1e-2 or not torch.equal(ours.argmax(1), theirs.argmax(1)):
            raise SystemExit("the exported model computes something else")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", required=True, help="directory to create")
    options = parser.parse_args()
    compile_generator()
    os.makedirs(options.output, exist_ok=True)
    model = llama_file.read(WEIGHTS)
    files = {
        "config.json": config(model.shape),
        "generation_config.json": {"bos_token_id": 1, "eos_token_id": 4, "pad_token_id": 0},
        "tokenizer.json": tokenizer(vocabulary()),
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<document>", "eos_token": "<end>",
            "pad_token": "<pad>", "model_max_length": model.shape.context},
    }
    for name, content in files.items():
        with open(os.path.join(options.output, name), "w") as file:
            json.dump(content, file, indent=2)
    write_safetensors(named_tensors(model), os.path.join(options.output, "model.safetensors"))
    check(model, options.output)
    print("written:", options.output)


if __name__ == "__main__":
    main()
