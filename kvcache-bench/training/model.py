"""The recall model: a plain Llama (RMSNorm, RoPE on adjacent pairs, grouped-query attention, SwiGLU)."""

import math
from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as F

LOGIT_SCALE = 0.2  # while training; folded into the final norm's gain on export


@dataclass(frozen=True)
class Shape:
    vocabulary: int
    dim: int = 256
    hidden: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    context: int = 2304
    theta: float = 10000.0
    epsilon: float = 1e-5

    @property
    def head_dim(self):
        return self.dim // self.heads

    def to_dict(self):
        return asdict(self)


class Block(torch.nn.Module):
    def __init__(self, shape):
        super().__init__()
        kv_dim = shape.kv_heads * shape.head_dim
        self.attention_norm = torch.nn.Parameter(torch.ones(shape.dim))
        self.wq = matrix(shape.dim, shape.dim)
        self.wk = matrix(kv_dim, shape.dim)
        self.wv = matrix(kv_dim, shape.dim)
        self.wo = matrix(shape.dim, shape.dim)
        self.mlp_norm = torch.nn.Parameter(torch.ones(shape.dim))
        self.gate = matrix(shape.hidden, shape.dim)
        self.down = matrix(shape.dim, shape.hidden)
        self.up = matrix(shape.hidden, shape.dim)


class RecallModel(torch.nn.Module):
    """Output matrix tied to the embedding."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.embedding = torch.nn.Parameter(torch.randn(shape.vocabulary, shape.dim) * 0.3)
        self.blocks = torch.nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.final_norm = torch.nn.Parameter(torch.ones(shape.dim))
        self.logit_scale = LOGIT_SCALE
        frequencies = shape.theta ** (-torch.arange(0, shape.head_dim, 2).double() / shape.head_dim)
        angles = torch.arange(shape.context).double()[:, None] * frequencies
        self.turns = torch.polar(torch.ones_like(angles), angles).to(torch.complex64)

    @torch.no_grad()
    def prepare(self):
        """Starts training where recall is near: from random values it sits on a plateau for long.

        The heads of layer 0 look 1, 2, 3, ... tokens back and write what they see into a channel of the
        residual stream. Half of layer 1 attends to tokens whose channel is like the query's, that is, which
        come after the same words, and copies them. Half of layer 2 does so with tokens that come after the
        word in question, or after the one that layer 1 found for it. All of it may be unlearned. A plain
        Llama has no biases, so embedding element 0, the same for every token, stands in for one.
        """
        shape, dim = self.shape, self.shape.head_dim
        channel = slice(shape.dim - dim, shape.dim)
        self.embedding[:, channel] *= 0.2
        self.embedding[:, 0] = 1.0
        rms = self.embedding.pow(2).mean(1).sqrt().mean()
        pairs = torch.arange(8)  # the fastest of RoPE's turns tell neighbours apart
        first, second, third = self.blocks[:3]
        wq, wk = (w.view(-1, dim, shape.dim).mul_(0.1) for w in (first.wq, first.wk))
        wk[:, 2 * pairs, 0] = 6.0 * rms
        for head in range(shape.heads):
            back = self.turns[head + 1, pairs].conj()
            wq[head, 2 * pairs, 0] = 6.0 * rms * back.real
            wq[head, 2 * pairs + 1, 0] = 6.0 * rms * back.imag
        wv = first.wv.view(-1, dim, shape.dim)
        wv[:] = wv[0].clone()
        wv[:, :, 0] = 0.0
        first.wo[channel] = 0.4 * torch.eye(dim).repeat(1, shape.heads)
        first.wo[: channel.start] *= 0.3

        group = shape.heads // shape.kv_heads
        second.wk[:dim] = 0.0
        second.wk[:dim, channel] = 0.8 * torch.eye(dim)
        second.wq[: group * dim] = second.wk[:dim].repeat(group, 1)
        second.wv[:dim, 0] = 0.0
        second.wo[:, : group * dim] = second.wv[:dim].T.repeat(1, group)

        third.wk[:dim] = second.wk[:dim]
        third.wq[: group * dim] = wv[0].repeat(group, 1)
        third.wv[:dim, 0] = 0.0
        third.wo[:, : group * dim] = third.wv[:dim].T.repeat(1, group)

    def forward(self, batch, round_kv=True, dtype=torch.float32):
        """Logits of the tokens to be predicted, [number of them][vocabulary].

        round_kv: round keys (after RoPE) and values to bf16, as the engine stores them.
        dtype: of everything but the residual stream; bf16 is for training.
        """
        shape = self.shape
        x = self.embedding[batch.tokens]
        turns = self.turns[batch.positions]
        for index, block in enumerate(self.blocks):
            h = rms_norm(x, block.attention_norm, shape.epsilon, dtype)
            k = Rotate.apply(split_heads(linear(h, block.wk), shape.kv_heads), turns)
            v = split_heads(linear(h, block.wv), shape.kv_heads)
            if round_kv and dtype != torch.bfloat16:
                k, v = k.bfloat16().to(dtype), v.bfloat16().to(dtype)
            if index == shape.layers - 1:
                # Only the tokens before the predicted ones are needed from here on.
                x, h, turns = (gather(t, batch.sources) for t in (x, h, turns))
                q = Rotate.apply(split_heads(linear(h, block.wq), shape.heads), turns)
                mixed = attend(q, k, v, batch.source_bias(dtype))
            else:
                q = Rotate.apply(split_heads(linear(h, block.wq), shape.heads), turns)
                mixed = CausalAttention.apply(q, k, v, batch)
            x = x + linear(mixed, block.wo)
            h = rms_norm(x, block.mlp_norm, shape.epsilon, dtype)
            x = x + linear(F.silu(linear(h, block.gate)) * linear(h, block.up), block.down)
        x = rms_norm(x[batch.source_valid], self.final_norm, shape.epsilon, dtype)
        return linear(x, self.embedding).float() * self.logit_scale


class Batch:
    """Examples padded to one length, with what attention and the loss need."""

    QUERY_BLOCK = 256

    def __init__(self, examples):
        length = max(len(e.tokens) for e in examples)
        size = len(examples)
        tokens, positions, branches = (np.zeros((size, length), np.int64) for _ in range(3))
        predicted = np.zeros((size, length), bool)
        for i, e in enumerate(examples):
            n = len(e.tokens)
            tokens[i, :n], positions[i, :n], branches[i, :n], predicted[i, :n] = (
                e.tokens, e.positions, e.branches, e.predicted)
        self.tokens = torch.from_numpy(tokens)
        self.positions = torch.from_numpy(positions)
        self.branches = torch.from_numpy(branches)
        self.biases = {}

        counts = predicted.sum(1)
        self.sources = torch.zeros(size, int(counts.max()), dtype=torch.long)
        self.source_valid = torch.zeros(size, int(counts.max()), dtype=torch.bool)
        self.question = []  # which question of the batch a predicted token belongs to
        self.kinds = []  # of every question
        for i, e in enumerate(examples):
            targets = np.flatnonzero(predicted[i])
            self.sources[i, : len(targets)] = torch.from_numpy(targets - 1)
            self.source_valid[i, : len(targets)] = True
            for j, t in enumerate(targets):
                if j == 0 or targets[j - 1] != t - 1:
                    self.kinds.append(e.kind)
                self.question.append(len(self.kinds) - 1)
        self.targets = self.tokens[torch.from_numpy(predicted)]
        self.question = np.array(self.question)
        self.kinds = np.array(self.kinds)

    def block_bias(self, start, end, dtype):
        """0 where a query of start..end may look, -inf elsewhere, [batch][1][1][end - start][end]."""
        if (start, end) not in self.biases:
            visible = torch.ones(end - start, end, dtype=torch.bool).tril(start)[None]
            keys, queries = self.branches[:, None, :end], self.branches[:, start:end, None]
            self.biases[start, end] = visible_bias(visible & ((keys == 0) | (keys == queries)), dtype)
        return self.biases[start, end]

    def source_bias(self, dtype):
        keys = torch.arange(self.tokens.shape[1])[None, None]
        visible = keys <= self.sources[:, :, None]
        own = gather(self.branches, self.sources)[:, :, None]
        branches = self.branches[:, None]
        return visible_bias(visible & ((branches == 0) | (branches == own)), dtype)

    def exact(self, logits):
        """Whether each question's answer, end token included, is what greedy decoding gives."""
        wrong = logits.argmax(1).ne(self.targets).numpy()
        return np.bincount(self.question, wrong, len(self.kinds)) == 0


def visible_bias(visible, dtype):
    return torch.zeros(visible.shape, dtype=dtype).masked_fill_(~visible, -math.inf)[:, None, None]


def matrix(rows, columns):
    return torch.nn.Parameter(torch.randn(rows, columns) * (0.7 / math.sqrt(columns)))


class RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(context, x, gain, epsilon, dtype):
        inverse = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon)
        normal = x * inverse
        context.save_for_backward(normal, inverse, gain)
        return (normal * gain).to(dtype)

    @staticmethod
    def backward(context, gradient):
        normal, inverse, gain = context.saved_tensors
        gradient = gradient.float()
        product = gradient * normal
        shared = (product @ gain).div_(len(gain)).unsqueeze(-1)
        into_x = torch.addcmul(gradient * gain, normal, shared, value=-1).mul_(inverse)
        return into_x, product.flatten(0, -2).sum(0), None, None


class Rotate(torch.autograd.Function):
    """RoPE on adjacent pairs: elements 2i and 2i+1 turn by position / theta^(2i / head_dim)."""

    @staticmethod
    def forward(context, x, turns):
        context.save_for_backward(turns)
        return rotate(x, turns)

    @staticmethod
    def backward(context, gradient):
        return rotate(gradient.contiguous(), context.saved_tensors[0].conj()), None


def rotate(x, turns):
    pairs = torch.view_as_complex(x.float().view(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns[:, :, None]).flatten(-2).to(x.dtype)


def rms_norm(x, gain, epsilon, dtype=torch.float32):
    return RmsNorm.apply(x, gain, epsilon, dtype)


def linear(x, weight):
    return x @ weight.to(x.dtype).T


def gather(x, rows):
    """x[b][rows[b]] for every b."""
    return x[torch.arange(len(x))[:, None], rows]


def split_heads(x, heads):
    return x.view(x.shape[0], x.shape[1], heads, -1)


def attend(q, k, v, bias):
    """q [batch][queries][heads][dim], k and v [batch][keys][kv heads][dim]; query head h reads h / group."""
    size, queries, heads, dim = q.shape
    kv_heads, group = k.shape[2], heads // k.shape[2]
    q = (q / math.sqrt(dim)).transpose(1, 2).reshape(size, kv_heads, group * queries, dim)
    scores = q @ k.permute(0, 2, 3, 1)
    scores = scores.view(size, kv_heads, group, queries, -1).add_(bias)
    weights = scores.softmax(-1).view(size, kv_heads, group * queries, -1)
    mixed = (weights @ v.transpose(1, 2)).view(size, heads, queries, dim)
    return mixed.transpose(1, 2).reshape(size, queries, heads * dim)


class CausalAttention(torch.autograd.Function):
    """Like attend, by blocks of queries, so that hardly any scores above the diagonal are computed."""

    @staticmethod
    def forward(context, q, k, v, batch):
        size, length, heads, dim = q.shape
        kv_heads, group = k.shape[2], heads // k.shape[2]
        q = (q / math.sqrt(dim)).transpose(1, 2).reshape(size * kv_heads, group, length, dim)
        k, v = (t.transpose(1, 2).reshape(size * kv_heads, length, dim) for t in (k, v))
        mixed = torch.empty_like(q)
        weights = []
        for start, end in blocks(length):
            scores = q[:, :, start:end].flatten(1, 2) @ k[:, :end].transpose(1, 2)
            grouped = scores.view(size, kv_heads, group, end - start, end)
            grouped.add_(batch.block_bias(start, end, q.dtype))
            weights.append(scores.softmax(-1))
            mixed[:, :, start:end] = (weights[-1] @ v[:, :end]).view(-1, group, end - start, dim)
        context.save_for_backward(q, k, v, mixed, *weights)
        context.shape = (size, kv_heads, group, length, dim)
        return mixed.view(size, heads, length, dim).transpose(1, 2).reshape(size, length, -1)

    @staticmethod
    def backward(context, gradient):
        q, k, v, mixed, *weights = context.saved_tensors
        size, kv_heads, group, length, dim = context.shape
        gradient = gradient.view(size, length, kv_heads * group, dim).transpose(1, 2)
        gradient = gradient.reshape(size * kv_heads, group, length, dim)
        shared = (gradient * mixed).sum(-1, keepdim=True)
        into_q = torch.empty_like(q)
        into_k, into_v = (torch.zeros_like(t, dtype=torch.float32) for t in (k, v))
        for (start, end), p in zip(blocks(length), weights):
            g = gradient[:, :, start:end].flatten(1, 2)
            into_v[:, :end] += p.transpose(1, 2) @ g
            into_scores = g @ v[:, :end].transpose(1, 2)
            into_scores.sub_(shared[:, :, start:end].flatten(1, 2)).mul_(p)
            into_q[:, :, start:end] = (into_scores @ k[:, :end]).view(-1, group, end - start, dim)
            into_k[:, :end] += into_scores.transpose(1, 2) @ q[:, :, start:end].flatten(1, 2)
        into_q = (into_q / math.sqrt(dim)).view(size, kv_heads * group, length, dim).transpose(1, 2)
        into_k, into_v = (
            t.to(q.dtype).view(size, kv_heads, length, dim).transpose(1, 2) for t in (into_k, into_v))
        return into_q, into_k, into_v, None


def blocks(length):
    return [(start, min(start + Batch.QUERY_BLOCK, length)) for start in range(0, length, Batch.QUERY_BLOCK)]
