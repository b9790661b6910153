package io.kvcache.internal.engine;

import io.kvcache.ChunkKey;
import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierWrite;
import io.kvcache.spi.VariantClass;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/**
 * What a cache has learned that belongs to no chunk, its delay lines, as an entry of its own in a durable tier: under a
 * key that no chunk has, since those are hashes.
 */
final class SavedState {
  /** Where it is. */
  static final EntryId ID = new EntryId(key(), VariantClass.FULL);
  private static final int MAX_BYTES = 1 << 16;

  private SavedState() {}

  private static ChunkKey key() {
    byte[] bytes = new byte[ChunkKey.BYTES];
    byte[] name = "kvcache delay lines".getBytes(StandardCharsets.US_ASCII);
    System.arraycopy(name, 0, bytes, 0, name.length);
    return ChunkKey.of(bytes);
  }

  /** Puts it in place of an older one; where there is no room, that one stays. */
  static void save(TierHandle tier, byte[] state) throws IOException {
    if (state.length > MAX_BYTES) {
      return;
    }
    Optional<TierWrite> claimed = tier.create(ID, new byte[0], new long[] {state.length});
    if (claimed.isPresent()) {
      try (TierWrite write = claimed.get()) {
        write.part(0).copyFrom(MemorySegment.ofArray(state));
        tier.commitUnobserved(() -> {
          write.commit(new long[] {state.length});
          return state.length;
        });
      }
    }
  }

  /** Gets it; empty when it is not there or cannot be read. */
  static Optional<byte[]> load(TierHandle tier) {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment buffer = arena.allocate(MAX_BYTES, Tier.ALIGNMENT);
      return tier.read(ID, 0, buffer, Deadline.never()) instanceof ReadResult.Present(long bytes)
          ? Optional.of(buffer.asSlice(0, bytes).toArray(ValueLayout.JAVA_BYTE))
          : Optional.empty();
    }
  }
}
