package io.kvcache.tiers;

import io.kvcache.Fidelity;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.KvLease;
import io.kvcache.KvLease.KvKept;
import io.kvcache.KvLease.Run;
import io.kvcache.LayerSpec;
import io.kvcache.testkit.KvPayloads;
import io.kvcache.testkit.TestPrompt;
import io.kvcache.testkit.TruncatingCompressor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** All that a lease gives of a prompt, read at once; says of each chunk which version it is of. */
final class LeasedChunks implements AutoCloseable {
  private final Arena arena = Arena.ofConfined();
  private final TestPrompt prompt;
  private final KvLayout layout;
  private final List<Run> runs;
  private final List<MemorySegment> halves = new ArrayList<>();
  /** What is kept of runs that lack tokens, layer by layer. */
  private final List<List<KvKept>> kept = new ArrayList<>();
  private final int count;

  LeasedChunks(TestPrompt prompt, KvLease lease) {
    this.prompt = prompt;
    layout = prompt.namespace().layout();
    runs = lease.runs();
    for (int layer = 0; layer < layout.layers().size(); layer++) {
      LayerSpec spec = layout.layer(layer);
      for (KvHalf half : KvHalf.values()) {
        halves.add(arena.allocate(Math.max(1, (long) lease.tokens() * spec.rowBytes(half))));
      }
      lease.read(layer, halves.get(2 * layer), halves.get(2 * layer + 1));
      List<KvKept> ofLayer = new ArrayList<>();
      for (Run run : runs) {
        if (run.fidelity() instanceof Fidelity.Pruned && run.firstToken() < lease.tokens()) {
          ofLayer.add(lease.kept(run, layer));
        }
      }
      kept.add(ofLayer);
    }
    count = lease.tokens() / layout.chunkTokens();
  }

  /** Chunks that could be read. */
  int count() {
    return count;
  }

  boolean exact(int chunk) {
    return fidelity(chunk).exact();
  }

  private Fidelity fidelity(int chunk) {
    int token = chunk * layout.chunkTokens();
    return runs.stream().filter(run -> token >= run.firstToken() && token < run.firstToken() + run.tokens())
        .map(Run::fidelity).findFirst().orElseThrow();
  }

  /** The version that an exact chunk claims to be of. */
  long claimedVersion(int chunk) {
    return KvPayloads.version(rows(chunk, 0, KvHalf.KEYS), prompt.keys().get(chunk), 0, KvHalf.KEYS);
  }

  /** Whether every byte of a chunk is that of a version, as far as its fidelity lets tell. */
  boolean is(int chunk, long version) {
    for (int layer = 0; layer < layout.layers().size(); layer++) {
      for (KvHalf half : KvHalf.values()) {
        boolean right = fidelity(chunk) instanceof Fidelity.Pruned ? isKept(chunk, layer, half, version)
            : KvPayloads.mismatch(rows(chunk, layer, half), prompt.keys().get(chunk), layer, half,
                fidelity(chunk),
                version) < 0;
        if (!right) {
          return false;
        }
      }
    }
    return true;
  }

  /** Whether the rows kept are those of the positions they are said to have. */
  private boolean isKept(int chunk, int layer, KvHalf half, long version) {
    byte[] whole = new byte[layout.chunkTokens() * layout.layer(layer).rowBytes(half)];
    KvPayloads.fill(MemorySegment.ofArray(whole), prompt.keys().get(chunk), layer, half, version);
    for (int at = 0; at < whole.length; at++) {
      whole[at] = TruncatingCompressor.decoded(whole[at], fidelity(chunk));
    }
    for (KvKept run : kept.get(layer)) {
      int heads = run.positions().length;
      int headBytes = layout.layer(layer).rowBytes(half) / heads;
      MemorySegment rows = half == KvHalf.KEYS ? run.keys() : run.values();
      for (int index = 0; index < heads * run.kept(); index++) {
        int head = index / run.kept();
        int token = run.positions()[head][index % run.kept()] - chunk * layout.chunkTokens();
        if (token >= 0 && token < layout.chunkTokens()) {
          long from = (long) token * heads * headBytes + (long) head * headBytes;
          if (MemorySegment.mismatch(MemorySegment.ofArray(whole), from, from + headBytes, rows,
              (long) index * headBytes, (index + 1L) * headBytes) >= 0) {
            return false;
          }
        }
      }
    }
    return true;
  }

  private MemorySegment rows(int chunk, int layer, KvHalf half) {
    long bytes = (long) layout.chunkTokens() * layout.layer(layer).rowBytes(half);
    return halves.get(2 * layer + half.ordinal()).asSlice(chunk * bytes, bytes);
  }

  @Override
  public void close() {
    arena.close();
  }
}
