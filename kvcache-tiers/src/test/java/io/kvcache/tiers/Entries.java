package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierWrite;
import io.kvcache.testkit.Payloads;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;

/** Stores and reads entries whose bytes follow from their id and a version. */
final class Entries {
  static final byte[] NOTE = {7, 7, 7};

  private Entries() {}

  /** Stores an entry; false when the tier has no room. */
  static boolean store(Tier tier, EntryId id, long version, long... partBytes) throws IOException {
    Optional<TierWrite> claimed = tier.create(id, NOTE, partBytes);
    if (claimed.isEmpty()) {
      return false;
    }
    try (TierWrite write = claimed.get()) {
      for (int i = 0; i < partBytes.length; i++) {
        Payloads.fill(write.part(i).asSlice(0, partBytes[i]), id.key(), Payloads.stream(id, i), version);
      }
      write.commit(partBytes);
    }
    return true;
  }

  /** The version that a part is of, all its bytes checked; -1 when it is missing or unreadable. */
  static long version(Tier tier, EntryId id, int part, MemorySegment target) {
    if (!(tier.read(id, part, target, Deadline.never()) instanceof ReadResult.Present present)) {
      return -1;
    }
    MemorySegment bytes = target.asSlice(0, present.bytes());
    long version = Payloads.version(bytes, id.key(), Payloads.stream(id, part));
    assertEquals(-1, Payloads.mismatch(bytes, id.key(), Payloads.stream(id, part), version),
        () -> "wrong bytes in " + id + " part " + part);
    return version;
  }

  /** As {@link #version}, but bytes may be wrong as a frame's own checksums would notice; then -2. */
  static long versionIfSound(Tier tier, EntryId id, int part, MemorySegment target) {
    if (!(tier.read(id, part, target, Deadline.never()) instanceof ReadResult.Present present)) {
      return -1;
    }
    MemorySegment bytes = target.asSlice(0, present.bytes());
    long version = Payloads.version(bytes, id.key(), Payloads.stream(id, part));
    return Payloads.mismatch(bytes, id.key(), Payloads.stream(id, part), version) < 0 ? version : -2;
  }

  static MemorySegment target(Arena arena, long bytes) {
    return arena.allocate(Pages.roundUp(bytes), Tier.ALIGNMENT);
  }

  static Set<EntryId> ids(Tier tier) throws IOException {
    Set<EntryId> ids = new HashSet<>();
    tier.inventory(entry -> ids.add(entry.id()));
    return ids;
  }
}
