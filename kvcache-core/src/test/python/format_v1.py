#!/usr/bin/env python3
"""Format version 1, written a second time from FORMAT.md alone: prints the test vectors and the worked example.

The Java tests pin what this prints. Needs nothing but Python 3.8.
"""
import hashlib
import struct

DTYPES = {"bf16": 1, "f16": 2, "f32": 3, "fp8": 4, "opaque": 5}


# -- keys ------------------------------------------------------------------------------------------------------------

def layout(chunk_tokens, layers):
    """layers: (kvHeads, keyDim, valueDim, dtype, window) of each."""
    out = struct.pack("<II", chunk_tokens, len(layers))
    for heads, key_dim, value_dim, dtype, window in layers:
        out += struct.pack("<IIIII", heads, key_dim, value_dim, DTYPES[dtype], window)
    return out


def root(encoded_layout, model, adapter="", rope="", engine="", rank=0, ranks=1, first_layer=0, salt=b""):
    fields = [model.encode(), adapter.encode(), rope.encode(), engine.encode(),
              struct.pack("<III", rank, ranks, first_layer), encoded_layout, salt]
    out = b"kvcache chunk key" + struct.pack("<I", 1)
    for field in fields:
        out += struct.pack("<I", len(field)) + field
    return hashlib.sha256(out).digest()


def keys(root_key, chunk_tokens, tokens, extras=()):
    """extras: (offset in the prompt, digest) pairs in any order. The keys of the full chunks."""
    chain, previous = [], root_key
    for start in range(0, len(tokens) - chunk_tokens + 1, chunk_tokens):
        end = start + chunk_tokens
        inside = sorted((offset - start, digest) for offset, digest in extras if start <= offset < end)
        out = previous + struct.pack("<I", chunk_tokens)
        out += struct.pack("<%di" % chunk_tokens, *tokens[start:end])
        out += struct.pack("<I", len(inside))
        for offset, digest in inside:
            out += struct.pack("<II", offset, len(digest)) + digest
        previous = hashlib.sha256(out).digest()
        chain.append(previous)
    return chain


# -- frames ----------------------------------------------------------------------------------------------------------

def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def preamble(key, variant, generation, codec, part, length):
    head = b"KVF1" + struct.pack("<BBH", 1, variant, part) + key + struct.pack("<QQHH", generation, length, codec, 0)
    return head + struct.pack("<I", crc32c(head))


def gather(half, chunk_tokens, positions):
    """The rows that heads keep of a dense half; positions: ascending offsets for each head, as many for each."""
    size = len(half) // chunk_tokens // len(positions)
    out = b""
    for r in range(len(positions[0])):
        for head, kept in enumerate(positions):
            at = (kept[r] * len(positions) + head) * size
            out += half[at:at + size]
    return out


def bitmap(chunk_tokens, positions):
    return sum(1 << t for t in positions).to_bytes(chunk_tokens // 8, "little")


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def bf16(x):
    """To the nearest of the two neighbours, half to even; past the last finite one is infinity. x: a binary32."""
    if x in (float("inf"), float("-inf")):
        return struct.pack("<f", x)[2:]
    low = struct.unpack("<I", struct.pack("<f", x))[0] >> 16
    cut, = struct.unpack("<f", struct.pack("<I", low << 16))
    step = 2.0 ** (max(low >> 7 & 0xFF, 1) - 134)
    over = (abs(x) - abs(cut)) / step
    return struct.pack("<H", low + 1 if over > 0.5 or over == 0.5 and low % 2 else low)


def frame(encoded_layout, chunk_tokens, halves, key, root_key, previous, index, generation, created, expiry=0,
          parent=0, method=0, percent=100, kept=None, uniform=False, scores=None):
    """A raw frame in one group: its parts.

    halves: keys and values of every layer, layer by layer; b"" where there are none
    kept:   for each layer and head the offsets that are kept; None for all
    uniform: whether they are the same for each, and written down once
    scores: method number -> for each layer and head a score for each token of the chunk; None for none
    """
    variant = 0 if kept is None else 1
    body, table, positions = bytearray(64), b"", b""
    for number, half in enumerate(halves):
        rows = half if kept is None else gather(half, chunk_tokens, kept[number // 2])
        if rows:
            body += bytes(-len(body) % 64) + rows
        table += struct.pack("<QII", len(rows), crc32c(rows), crc32c(half) if rows else 0)
    for heads in kept or []:
        positions += b"".join(bitmap(chunk_tokens, head) for head in heads)
    mode = 0 if kept is None else 2
    if uniform:
        mode, positions = 1, bitmap(chunk_tokens, kept[0][0])
    body[:64] = preamble(key, variant, generation, 0, 1, len(body))
    payload = b"".join(bf16(x) for _, layers in sorted((scores or {}).items())
                       for heads in layers for row in heads for x in row)
    scored = bytes(24)
    if scores:
        mask = sum(1 << number for number in scores)
        scored = struct.pack("<IIQII", mask, 0, 64 + len(payload), crc32c(payload), 0)
    layers = len(halves) // 2
    fields = hashlib.sha256(encoded_layout).digest() + root_key + previous
    fields += struct.pack("<QIIII", index * chunk_tokens, chunk_tokens, 0, layers, 1)
    fields += struct.pack("<qqQ", created, expiry, parent)
    fields += struct.pack("<BBBB", mode, 0, method, percent) + bytes(20) + scored
    fields += struct.pack("<IIQ", 0, layers, len(body)) + table + positions
    header = preamble(key, variant, generation, 0, 0, 64 + len(fields) + 4) + fields
    parts = [header + struct.pack("<I", crc32c(fields)), bytes(body)]
    if scores:
        parts.append(preamble(key, variant, generation, 0, 2, 64 + len(payload)) + payload)
    return parts


def fingerprint(candidates):
    """candidates: (codec, drop method, retained percent) of each."""
    return crc32c(b"".join(struct.pack("<HBB", *each) for each in candidates))


def note(root_key, previous, index, generation, encoding, length, last_use, frequency, uses, expiry=0, scored=0,
         candidates=(), losses=()):
    out = struct.pack("<I", 3) + root_key + previous
    out += struct.pack("<IQHBBQqdQq", index, generation, *encoding, length, last_use, frequency, uses, expiry)
    out += struct.pack("<IHH", fingerprint(candidates), len(losses), scored) + struct.pack("<%df" % len(losses), *losses)
    return out + struct.pack("<I", crc32c(out))


# -- vectors ---------------------------------------------------------------------------------------------------------

MODEL = "example/model@1"
LAYERS = [(1, 2, 1, "f16", 0), (1, 3, 0, "opaque", 0)]
LAYOUT = layout(16, LAYERS)


def key_vectors():
    base = root(LAYOUT, MODEL)
    yield "root", base
    yield "root, model modèle-模型-🦙", root(LAYOUT, "modèle-模型-🦙")
    yield "root, adapter lora-7", root(LAYOUT, MODEL, adapter="lora-7")
    yield "root, RoPE scaling yarn", root(LAYOUT, MODEL, rope="yarn")
    yield "root, engine engine-1.2", root(LAYOUT, MODEL, engine="engine-1.2")
    yield "root, rank 0 of 2", root(LAYOUT, MODEL, ranks=2)
    yield "root, rank 1 of 2", root(LAYOUT, MODEL, rank=1, ranks=2)
    yield "root, first layer 2", root(LAYOUT, MODEL, first_layer=2)
    yield "root, tenant salt 00 ff 10", root(LAYOUT, MODEL, salt=bytes.fromhex("00ff10"))
    yield "root, chunks of 32", root(layout(32, LAYERS), MODEL)
    yield "root, window 8 in layer 0", root(layout(16, [(1, 2, 1, "f16", 8), LAYERS[1]]), MODEL)
    yield "root, bf16 in layer 0", root(layout(16, [(1, 2, 1, "bf16", 0), LAYERS[1]]), MODEL)
    tokens = list(range(1, 33))
    first, second = keys(base, 16, tokens)
    yield "chunk 0 of tokens 1 to 32", first
    yield "chunk 1 of tokens 1 to 32", second
    yield "chunk 0 of 16 times 2147483647", keys(base, 16, [2147483647] * 16)[0]
    one, more = (3, b"\xaa" * 32), [(20, b"\x02"), (20, b"\x01\xff"), (18, b"\xff")]
    yield "chunk 0, extra at 3: 32 times aa", keys(base, 16, tokens, [one])[0]
    yield "chunk 1, extra at 3: 32 times aa", keys(base, 16, tokens, [one])[1]
    yield "chunk 1, extras 20: 02, 20: 01 ff, 18: ff", keys(base, 16, tokens, more)[1]


def dump(data):
    lines = []
    for at in range(0, len(data), 16):
        line = data[at:at + 16]
        text = "".join(chr(b) if 32 <= b < 127 else "." for b in line)
        lines.append("%04x  %-47s  %s" % (at, line.hex(" "), text))
    return "\n".join(lines)


def main():
    for name, value in key_vectors():
        print("%-52s %s" % (name, value.hex()))
    base = root(LAYOUT, MODEL)
    first, second = keys(base, 16, list(range(1, 33)))
    keys0 = struct.pack("<32e", *[i / 2 for i in range(32)])
    values0 = struct.pack("<16e", *[-i for i in range(16)])
    halves = [keys0, values0, bytes(range(48)), b""]
    parts = frame(LAYOUT, 16, halves, second, base, first, 1, 0x0123456789ABCDEF, 1_790_000_000_000,
                  1_800_000_000_000)
    for title, data in zip(("header part", "group part"), parts):
        show(title, data)
    plain = note(base, first, 1, 0x0123456789ABCDEF, (0, 0, 100), sum(map(len, parts)), 1_790_000_000_000, 1.5, 3,
                 1_800_000_000_000)
    show("note", plain)
    candidates = [(0, 0, 100), (3, 0, 100), (3, 2, 50)]
    measured = note(base, first, 1, 0x0123456789ABCDEF, (3, 2, 50), 580, 1_790_000_000_000, 1.5, 3, 0,
                    1 << 4 | 1 << 6, candidates, [0.0, 0.125, float("nan")])
    show("note with losses", measured)

    for title, data in zip(("pruned: header part", "pruned: group part"), pruned()):
        show(title, data)
    for title, data in zip(("uniform: header part", "uniform: group part"), pruned(uniform=True)):
        show(title, data)
    scores = {4: [[[f32(t / 3) for t in range(16, 31)] + [float("inf")]], [[-t for t in range(16, 32)]]],
              6: [[[1 + t / 256 for t in range(16, 32)]], [[f32(3.4028235e38)] * 16]]}
    parts = frame(LAYOUT, 16, halves, second, base, first, 1, 0x0123456789ABCDEF, 1_790_000_000_000,
                  1_800_000_000_000, scores=scores)
    for title, data in zip(("scored: header part", "scored: group part", "scored: scores part"), parts):
        show(title, data)


PRUNED_LAYERS = [(2, 2, 1, "f16", 0), (1, 3, 0, "bf16", 0), (1, 1, 1, "f32", 0)]


def pruned(uniform=False):
    """The byte at offset n of a half of layer i is 7n + i, modulo 256; layer 2 keeps nothing, unless uniformly."""
    encoded = layout(16, PRUNED_LAYERS)
    halves = []
    for i, (heads, key_dim, value_dim, dtype, _) in enumerate(PRUNED_LAYERS):
        for dim in (key_dim, value_dim):
            size = 16 * heads * dim * (4 if dtype == "f32" else 2)
            halves.append(bytes((at * 7 + i) % 256 for at in range(size)))
    kept = [[[0, 5, 15], [2, 3, 8]], [[7]], [[]]]
    if uniform:
        kept = [[[0, 5, 15]] * 2, [[0, 5, 15]], [[0, 5, 15]]]
    base = root(encoded, MODEL)
    first, second = keys(base, 16, list(range(1, 33)))
    return frame(encoded, 16, halves, second, base, first, 1, 0x0123456789ABCDEF, 1_790_000_000_000,
                 parent=0x0123456789ABCDEE, method=3, percent=25, kept=kept, uniform=uniform)


def show(title, data):
    print("\n%s, %d bytes, SHA-256 %s" % (title, len(data), hashlib.sha256(data).hexdigest()))
    print(dump(data))


if __name__ == "__main__":
    main()
