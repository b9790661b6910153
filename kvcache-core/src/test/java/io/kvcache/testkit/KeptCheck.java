package io.kvcache.testkit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.ChunkKey;
import io.kvcache.Fidelity;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.KvLease.KvKept;
import io.kvcache.KvLease.Run;
import io.kvcache.LayerSpec;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Checks what a lease gives of runs that lack tokens: every row is that of the position it is said to have. */
public final class KeptCheck {
  private final KvLayout layout;
  private final List<ChunkKey> keys;
  private final Run run;
  private final int layer;
  private final String at;
  private final Map<Integer, MemorySegment> rows = new HashMap<>();

  private KeptCheck(KvLayout layout, List<ChunkKey> keys, Run run, int layer, String at) {
    this.layout = layout;
    this.keys = keys;
    this.run = run;
    this.layer = layer;
    this.at = at;
  }

  /** Whether a run lacks tokens. */
  public static boolean pruned(Run run) {
    return run.fidelity() instanceof Fidelity.Pruned;
  }

  /** Whether a run lacks the same tokens in all layers and heads. */
  public static boolean uniform(Run run) {
    return pruned(run) && run.codec().startsWith("uniform-");
  }

  /** Whether the token at a position is of a run that lacks some. */
  public static boolean pruned(List<Run> runs, int token) {
    return runs.stream().anyMatch(
        run -> pruned(run) && token >= run.firstToken() && token < run.firstToken() + run.tokens());
  }

  /**
   * Checks positions and every byte of one layer of a pruned run of a prompt with these chunk keys, whose KV is that
   * of {@link KvPayloads}; returns the tokens that what was kept stands for.
   */
  public static int check(KvKept kept, KvLayout layout, List<ChunkKey> keys, Run run, int layer, String at) {
    return new KeptCheck(layout, keys, run, layer, at).check(kept);
  }

  private int check(KvKept kept) {
    LayerSpec spec = layout.layer(layer);
    assertTrue(kept.tokens() <= run.tokens() && kept.tokens() % layout.chunkTokens() == 0, at);
    assertEquals(run.firstToken(), kept.firstToken(), at);
    assertEquals(spec.kvHeads(), kept.positions().length, at);
    assertEquals((long) kept.kept() * spec.keyRowBytes(), kept.keys().byteSize(), at);
    assertEquals((long) kept.kept() * spec.valueRowBytes(), kept.values().byteSize(), at);
    assertTrue(kept.keys().isReadOnly() && kept.values().isReadOnly(), at + ": kept rows can be written to");
    for (int head = 0; head < spec.kvHeads(); head++) {
      int[] positions = kept.positions()[head];
      assertEquals(kept.kept(), positions.length, at);
      assertTrue(!uniform(run) || Arrays.equals(positions, kept.positions()[0]), at + ": not uniform");
      int least = kept.firstToken();
      for (int row = 0; row < positions.length; row++) {
        assertTrue(positions[row] >= least && positions[row] < kept.firstToken() + kept.tokens(), at);
        least = positions[row] + 1;
        checkRow(kept.keys(), kept.kept(), head, row, positions[row], KvHalf.KEYS);
        checkRow(kept.values(), kept.kept(), head, row, positions[row], KvHalf.VALUES);
      }
    }
    return kept.tokens();
  }

  private void checkRow(MemorySegment all, int count, int head, int row, int position, KvHalf half) {
    LayerSpec spec = layout.layer(layer);
    int headBytes = spec.rowBytes(half) / spec.kvHeads();
    MemorySegment chunk = chunk(position / layout.chunkTokens(), half);
    long from = (long) position % layout.chunkTokens() * spec.rowBytes(half) + (long) head * headBytes;
    long found = ((long) head * count + row) * headBytes;
    assertEquals(-1, chunk.asSlice(from, headBytes).mismatch(all.asSlice(found, headBytes)),
        () -> at + ": wrong byte in " + half + " of layer " + layer + ", head " + head + ", token "
            + position);
  }

  private MemorySegment chunk(int index, KvHalf half) {
    return rows.computeIfAbsent(index * 2 + half.ordinal(), key -> {
      byte[] bytes = new byte[layout.chunkTokens() * layout.layer(layer).rowBytes(half)];
      KvPayloads.fill(MemorySegment.ofArray(bytes), keys.get(index), layer, half);
      for (int each = 0; each < bytes.length; each++) {
        bytes[each] = TruncatingCompressor.decoded(bytes[each], run.fidelity());
      }
      return MemorySegment.ofArray(bytes);
    });
  }
}
