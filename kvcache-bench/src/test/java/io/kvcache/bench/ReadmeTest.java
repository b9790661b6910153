package io.kvcache.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.DType;
import io.kvcache.KvCache;
import io.kvcache.KvLayout;
import io.kvcache.KvLease;
import io.kvcache.Namespace;
import io.kvcache.Tokens;
import io.kvcache.tiers.DramTier;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** What README.md promises is what compiles and runs here. */
class ReadmeTest {
  private static final Pattern JAVA_BLOCK = Pattern.compile("```java\n(.*?)```", Pattern.DOTALL);

  @Test
  void everyJavaBlockStandsInTheExample() throws IOException {
    String example = squeezed(Files.readString(
        Path.of("src/test/java/io/kvcache/bench/ReadmeExample.java")));
    Matcher block = JAVA_BLOCK.matcher(Files.readString(Path.of("../README.md")));
    int blocks = 0;
    while (block.find()) {
      blocks++;
      String code = squeezed(block.group(1));
      assertTrue(example.contains(code),
          "README.md shows code that is not in ReadmeExample:\n" + block.group(1));
    }
    assertTrue(blocks > 0, "README.md shows no Java");
  }

  private static String squeezed(String code) {
    return code.replaceAll("\\s+", " ").strip();
  }

  @Test
  void exampleServesTheSecondRequestFromTheCache() {
    KvLayout layout = KvLayout.uniform(2, 1, 16, DType.BF16).withChunkTokens(16);
    Namespace model = Namespace.of("tiny", layout);
    int[] prompt = new int[40];
    try (FakeEngine engine = new FakeEngine(layout, prompt.length);
        KvCache cache = KvCache.builder(layout).tier(DramTier.open(1 << 20)).open()) {
      ReadmeExample.serve(cache, model, prompt, engine);
      ReadmeExample.serve(cache, model, prompt, engine);
      assertEquals(List.of(0, 32), engine.prefillsFrom);
      try (KvLease lease = cache.acquire(model, Tokens.of(prompt), AcquireOptions.exact())) {
        assertEquals(32, lease.tokens());
      }
    }
  }

  /** Computes recognisable KV. */
  private static final class FakeEngine implements ReadmeExample.Engine, AutoCloseable {
    private final Arena arena = Arena.ofConfined();
    private final List<Integer> prefillsFrom = new ArrayList<>();
    private final List<MemorySegment> keys = new ArrayList<>();
    private final List<MemorySegment> values = new ArrayList<>();
    private final int row;

    FakeEngine(KvLayout layout, int tokens) {
      row = layout.layer(0).keyRowBytes();
      layout.layers().forEach(layer -> {
        keys.add(arena.allocate((long) tokens * row));
        values.add(arena.allocate((long) tokens * row));
      });
    }

    @Override
    public MemorySegment keys(int layer, long offset, long bytes) {
      return keys.get(layer).asSlice(offset, bytes);
    }

    @Override
    public MemorySegment values(int layer, long offset, long bytes) {
      return values.get(layer).asSlice(offset, bytes);
    }

    /** On the second request the cached rows must be those of the first. */
    @Override
    public void prefill(int[] prompt, int from) {
      prefillsFrom.add(from);
      for (int layer = 0; layer < keys.size(); layer++) {
        for (long at = 0; at < (long) prompt.length * row; at++) {
          byte expected = (byte) (layer * 31 + at);
          if (at < (long) from * row) {
            assertEquals(expected, keys.get(layer).get(ValueLayout.JAVA_BYTE, at));
            assertEquals(expected, values.get(layer).get(ValueLayout.JAVA_BYTE, at));
          }
          keys.get(layer).set(ValueLayout.JAVA_BYTE, at, expected);
          values.get(layer).set(ValueLayout.JAVA_BYTE, at, expected);
        }
      }
    }

    @Override
    public void close() {
      arena.close();
    }
  }
}
